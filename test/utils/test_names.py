"""Names that become files and folders lead nowhere else."""

import pytest

from trnet.utils.errors import TrnetError
from trnet.utils.names import frontend_id, noise_name, safe_name, setting_name

OUT = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/x",
    ".hidden",
    "a b",
    "a\n",
    "a\0",
    "\x1b[31m",
    "\udcff",
    "x" * 201,
    "\u00e9" * 101,
]


@pytest.mark.parametrize("check", [safe_name, setting_name, noise_name, frontend_id])
@pytest.mark.parametrize("name", [*OUT, None, 3, ["x"]])
def test_names_that_lead_out_of_a_folder_or_cannot_be_printed_are_refused(check, name):
    with pytest.raises(TrnetError, match="^here: ") as caught:
        check(name, "here")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_names_in_use_are_taken():
    for name in ("Ses01F_impro01_F000", "S1-ang,1=x~'", "\u017c\u00f3\u0142\u0107", "x" * 200, "-a"):
        assert safe_name(name, "here") == name
    for name in ("trnet_wo_low", "TRNet-v2.1+x", "\u017c1"):
        assert setting_name(name, "here") == name
    for name in ("esc", "ESC50"):
        assert noise_name(name, "here") == name
    for name in ("gtcrn", "dpt_fsnet", "package.module:Class", "_p.m2:C_1"):
        assert frontend_id(name, "here") == name


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (setting_name, "a,b"),
        (setting_name, "-a"),
        (setting_name, "a|b"),
        (noise_name, "my_noise"),
        (noise_name, "\u017c1"),
        (frontend_id, "../../x:y"),
        (frontend_id, "raw"),
        (frontend_id, "a..b:C"),
        (frontend_id, "a:b:c"),
        (frontend_id, "a:B.C"),
        (frontend_id, "a:"),
        (frontend_id, ":C"),
        (frontend_id, "2a"),
        (frontend_id, "a-b"),
    ],
)
def test_names_of_a_kind_have_its_letters_only(check, name):
    with pytest.raises(TrnetError, match="^here: "):
        check(name, "here")
