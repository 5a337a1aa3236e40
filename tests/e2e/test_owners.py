"""Whose images are thawed, and what an image tells those who can read it: docs/security.md."""

import os
import shutil
import subprocess

import pytest
from conftest import MOONLET, Result, environment, needs_root, run

NOBODY = 65534
THAWED = Result(0, b"warm\n", b"")


@pytest.fixture
def image(open_directory):
    """An image, alone in a directory that everybody may enter."""
    path = os.path.join(open_directory, "place", "i.image")
    os.mkdir(os.path.dirname(path))
    freeze(path, "-e", "warm = 'warm'")
    os.chmod(os.path.dirname(path), 0o755)
    return path


def freeze(path, *warm_up, **variables):
    done = subprocess.run([MOONLET, "--freeze", path, *warm_up], env=environment(**variables), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def launch(image, program=MOONLET, **options):
    return run(program, ["lua", "-e", "print(warm)"], environment(MOONLET_IMAGE=image), **options)


def test_an_image_is_its_owners_alone(image):
    assert os.stat(image).st_mode & 0o777 == 0o600
    assert launch(image) == THAWED


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_image_that_others_may_write_is_not_thawed(image, mode):
    os.chmod(image, mode)
    refused = launch(image)
    assert refused.status == 125 and b"others may write" in refused.err, refused


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_an_image_in_a_directory_that_others_may_write_is_not_thawed(image, mode):
    os.chmod(os.path.dirname(image), mode)
    refused = launch(image)
    assert refused.status == 125 and b"where others may write" in refused.err, refused


def test_an_image_below_a_directory_like_tmp_is_thawed(image):
    os.chmod(os.path.dirname(image), 0o1777)
    assert launch(image) == THAWED


def test_what_leads_to_an_image_does_not_count_but_where_it_is(image, tmp_path):
    link = tmp_path / "i.image"
    link.symlink_to(image)
    assert launch(str(link)) == THAWED
    os.chmod(os.path.dirname(image), 0o777)
    assert launch(str(link)).status == 125


@needs_root
def test_an_image_of_another_user_is_not_thawed(image):
    os.chown(image, NOBODY, NOBODY)
    refused = launch(image)
    assert refused.status == 125 and b"another user" in refused.err, refused


@needs_root
def test_an_image_in_a_directory_of_another_user_is_not_thawed(image):
    os.chown(os.path.dirname(image), NOBODY, NOBODY)
    refused = launch(image)
    assert refused.status == 125 and b"in a directory of another user" in refused.err, refused


@needs_root
def test_an_image_of_root_is_thawed_by_whom_root_lets_read_it(image):
    unreadable = launch(image, user=NOBODY)
    assert unreadable.status == 125 and b"Permission denied" in unreadable.err, unreadable
    os.chmod(image, 0o644)
    assert launch(image, user=NOBODY) == THAWED


@needs_root
def test_with_raised_privileges_no_image_is_thawed(image, open_directory):
    raised = shutil.copy(MOONLET, os.path.join(open_directory, "moonlet"))
    os.chmod(image, 0o644)
    os.chown(raised, NOBODY, NOBODY)
    os.chmod(raised, 0o4755)
    refused = launch(image, raised)
    assert (refused.status, refused.out) == (0, b"nil\n"), refused  # lua ran it


def test_an_image_holds_no_variable_that_was_not_asked_for(image):
    freeze(image, "-e", "asked = os.getenv 'ASKED'", SECRET="VALUE-OF-THE-FREEZE", ASKED="VALUE-THAT-WAS-ASKED-FOR")
    with open(image, "rb") as file:
        text = file.read()
    assert b"VALUE-OF-THE-FREEZE" not in text
    assert b"VALUE-THAT-WAS-ASKED-FOR" in text


def test_an_image_holds_nothing_that_is_forgotten(image, tmp_path):
    """Its arguments, and what the warm-up has read and let go of."""
    key, script = tmp_path / "key", tmp_path / "warm.lua"
    key.write_text("TEXT-OF-A-FILE" * 100)
    script.write_text("local f = io.open(select(2, ...)) local text = f:read('*a') f:close() seen = #text")
    freeze(image, str(script), "VALUE-OF-AN-ARGUMENT", str(key))
    with open(image, "rb") as file:
        text = file.read()
    assert b"VALUE-OF-AN-ARGUMENT" not in text and b"TEXT-OF-A-FILE" not in text
