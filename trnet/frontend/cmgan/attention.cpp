// Attention with relative positions for attention.py, which says what is computed and checks what comes in.
//
// ROWS queries at a time meet all keys: their scores, the softmax of them and what it says of the values stay in the cache
// of one core. float32 throughout. Scores are in bits, so that the softmax is one of powers of two.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifndef TRNET_LANES  // values in a register
#if defined(__AVX512F__)
#define TRNET_LANES 16
#elif defined(__AVX__)
#define TRNET_LANES 8
#else
#define TRNET_LANES 4
#endif
#endif
constexpr int LANES = TRNET_LANES;
constexpr int ROWS = LANES == 16 ? 12 : 6;  // of scores, so that two registers each of sums, and what is added, find room
constexpr int WIDTH = 16;                   // of queries, keys and values
constexpr int TILE = 2 * LANES, VECTORS = WIDTH / LANES;

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef float anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline vec load(const float *from) { return *(const anywhere *)from; }
static inline void store(float *to, vec x) { *(anywhere *)to = x; }
static inline size_t whole(size_t count, size_t of) { return (count + of - 1) / of * of; }

// 2^x for x <= 0, to 2e-7 of it; 2^-126 below -126. Cut at the nearest integer, and the rest by its power series.
static inline vec power_of_two(vec x)
{
    const vec least = vec{} - 126.0f;
    x = least > x ? least : x;  // NaN stays NaN
    const vec shifted = x + 12582912.0f;  // 1.5 * 2^23: the last bits are the integer
    const vec f = x - (shifted - 12582912.0f);
    vec y = 1.5403530e-4f * f + 1.3333558e-3f;
    y = y * f + 9.6181291e-3f;
    y = y * f + 5.5504109e-2f;
    y = y * f + 2.4022651e-1f;
    y = y * f + 6.9314718e-1f;
    y = y * f + 1.0f;
    return (vec)((ints)y + ((ints)shifted << 23));
}

// scores (ROWS, TILE) of each row = q (ROWS, WIDTH) times b (WIDTH, TILE); with `askew`, plus what is in scores so far,
// of which row i begins ROWS - 1 - i to the right.
template <bool askew> static inline void product(const float *q, const float *b, size_t ldb, float *scores, size_t ld)
{
    vec sum[ROWS][2] = {};
    if (askew)
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            sum[i][0] = load(scores + i * ld + ROWS - 1 - i);
            sum[i][1] = load(scores + i * ld + ROWS - 1 - i + LANES);
        }
#pragma GCC unroll 4
    for (int d = 0; d < WIDTH; d++) {
        const vec left = load(b + d * ldb), right = load(b + d * ldb + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            sum[i][0] += q[i * WIDTH + d] * left;
            sum[i][1] += q[i * WIDTH + d] * right;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
        store(scores + i * ld, sum[i][0]);
        store(scores + i * ld + LANES, sum[i][1]);
    }
}

// Scores, a multiple of LANES of them, to numerators of their softmax, in place; gives their sum.
static inline float softmax(float *scores, size_t count)
{
    vec most = load(scores), sum = {};
    for (size_t j = LANES; j < count; j += LANES) {
        const vec s = load(scores + j);
        most = s > most ? s : most;
    }
    float largest = most[0], total = 0;
    for (int i = 1; i < LANES; i++) largest = most[i] > largest ? most[i] : largest;
    for (size_t j = 0; j < count; j += LANES) {
        const vec y = power_of_two(load(scores + j) - largest);
        store(scores + j, y);
        sum += y;
    }
    for (int i = 0; i < LANES; i++) total += sum[i];
    return total;
}

// out (ROWS, WIDTH) = shares (ROWS, steps) times values (steps, WIDTH)
static inline void mix(const float *shares, size_t ld, const float *values, size_t steps, float *out)
{
    vec sum[ROWS][VECTORS] = {};
    for (size_t j = 0; j < steps; j++) {
        vec v[VECTORS];
#pragma GCC unroll 4
        for (int k = 0; k < VECTORS; k++) v[k] = load(values + j * WIDTH + k * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
            for (int k = 0; k < VECTORS; k++) sum[i][k] += shares[i * ld + j] * v[k];
    }
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < VECTORS; k++) store(out + i * WIDTH + k * LANES, sum[i][k]);
}

// qkv (sequences, steps, 3, heads, WIDTH); table (WIDTH, distances), of which column `zero` is distance 0 and the next is
// one step ahead; out (sequences, steps, heads, WIDTH). Gives 0, or 1 without memory, or 2 for a table that is too short.
extern "C" int attend(const float *qkv, const float *table, float *out, size_t sequences, size_t steps, size_t heads,
                      size_t distances, size_t zero)
{
    const size_t keys_ld = whole(steps, TILE), span = whole(keys_ld + ROWS - 1, TILE), token = 3 * heads * WIDTH;
    const size_t farthest = whole(steps, ROWS) - 1;  // behind the last query, with those that fill its block
    if (zero < farthest || zero + 1 - ROWS + span > distances) return 2;
    const size_t floats = WIDTH * keys_ld + whole(WIDTH * steps, TILE) + ROWS * span;
    float *const keys = (float *)std::aligned_alloc(64, whole(floats * sizeof(float), 64));
    if (!keys) return 1;
    float *const values = keys + WIDTH * keys_ld, *const scores = values + whole(WIDTH * steps, TILE);
    std::memset(keys, 0, WIDTH * keys_ld * sizeof(float));
    for (size_t map = 0; map < sequences * heads; map++) {
        const size_t sequence = map / heads, head = map % heads;
        const float *const queries = qkv + sequence * steps * token + head * WIDTH;
        for (size_t j = 0; j < steps; j++) {
            const float *const key = queries + j * token + heads * WIDTH;
            for (int d = 0; d < WIDTH; d++) keys[d * keys_ld + j] = key[d];
            std::memcpy(values + j * WIDTH, key + heads * WIDTH, WIDTH * sizeof(float));
        }
        for (size_t start = 0; start < steps; start += ROWS) {
            const size_t asked = steps - start < ROWS ? steps - start : ROWS;
            float q[ROWS * WIDTH] = {}, total[ROWS], said[ROWS * WIDTH];
            for (size_t i = 0; i < asked; i++)
                std::memcpy(q + i * WIDTH, queries + (start + i) * token, WIDTH * sizeof(float));
            const float *const met = table + zero - (start + ROWS - 1);
            for (size_t c = 0; c < span; c += TILE) product<false>(q, met + c, distances, scores + c, span);
            for (size_t c = 0; c < keys_ld; c += TILE) product<true>(q, keys + c, keys_ld, scores + c, span);
            for (size_t i = 0; i < ROWS; i++) {
                for (size_t j = steps; j < keys_ld; j++) scores[i * span + j] = -1e30f;
                total[i] = softmax(scores + i * span, keys_ld);
            }
            mix(scores, span, values, steps, said);
            for (size_t i = 0; i < asked; i++)
                for (int d = 0; d < WIDTH; d++)
                    out[((sequence * steps + start + i) * heads + head) * WIDTH + d] = said[i * WIDTH + d] / total[i];
        }
    }
    std::free(keys);
    return 0;
}
