"""The versions and the machine that records name."""

from textclf.system.environment import LIBRARIES, environment, version_of


def test_the_environment_names_versions_and_machine():
    found = environment()
    assert {"python", "platform", "machine", *LIBRARIES} <= set(found)
    assert found["machine"].split(" × ")[0].isdigit()


def test_what_is_not_installed_has_no_version():
    assert version_of("textclf") is not None
    assert version_of("textclf-of-nobody") is None
