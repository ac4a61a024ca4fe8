"""Settings: their order, their limits, and what a message tells and hides."""

import dataclasses
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from windlass.config import (
    NOT_SETTINGS,
    Settings,
    load_settings,
    masked_url,
    override_settings,
    shown_settings,
)
from windlass.errors import BadSetting, UnknownSetting

NAMES = [field.name for field in dataclasses.fields(Settings)]
PYPROJECT = "pyproject.toml [tool.windlass]"
URL = "postgresql://ann:hunter2@db/shop"


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


def refusal(
    folder: Path,
    overrides: Mapping[str, Any] = MappingProxyType({}),
    environ: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, Any, str, str]:
    with pytest.raises(BadSetting) as caught:
        load_settings(overrides, environ, folder)
    error = caught.value
    return error.name, error.value, error.why, error.source


# -- override ----------------------------------------------------------------


def test_an_override_comes_last_and_is_checked_like_any_other(tmp_path: Path) -> None:
    loaded = load_settings({"lease_s": 20.0}, {}, tmp_path)
    settings, sources = override_settings(*loaded, {"concurrency": 3})

    assert Settings(lease_s=20.0, concurrency=3) == settings
    assert [name for name in NAMES if sources[name] == "argument"] == ["concurrency", "lease_s"]
    with pytest.raises(UnknownSetting):
        override_settings(*loaded, {"concurency": 3})
    with pytest.raises(BadSetting, match="at most half of lease_s"):
        override_settings(*loaded, {"renew_s": 11.0})


# -- order -------------------------------------------------------------------


def test_without_anything_given_every_setting_has_its_default(tmp_path: Path) -> None:
    settings, sources = load_settings({}, {}, tmp_path)

    assert Settings() == settings
    assert dict.fromkeys(NAMES, "default") == sources


@pytest.mark.parametrize(
    ("overrides", "environ", "files", "value", "source"),
    [
        ({}, {}, ["pyproject.toml"], 1, PYPROJECT),
        ({}, {}, ["pyproject.toml", "windlass.toml"], 2, "windlass.toml"),
        ({}, {"WINDLASS_CONCURRENCY": "3"}, ["windlass.toml"], 3, "WINDLASS_CONCURRENCY"),
        ({"concurrency": 4}, {"WINDLASS_CONCURRENCY": "3"}, ["windlass.toml"], 4, "argument"),
    ],
)
def test_the_source_that_is_nearer_to_the_call_wins(
    overrides: dict[str, Any],
    environ: dict[str, str],
    files: list[str],
    value: int,
    source: str,
    tmp_path: Path,
) -> None:
    texts = {
        "pyproject.toml": "[tool.windlass]\nconcurrency = 1",
        "windlass.toml": "concurrency = 2",
    }
    write(tmp_path, {name: texts[name] for name in files})
    settings, sources = load_settings(overrides, environ, tmp_path)

    assert (value, source) == (settings.concurrency, sources["concurrency"])


def test_each_setting_has_its_own_source(tmp_path: Path) -> None:
    write(tmp_path, {"windlass.toml": "lease_s = 20\nqueues = ['a', 'b']"})
    settings, sources = load_settings({"renew_s": 2}, {"WINDLASS_STORE": URL}, tmp_path)

    assert Settings(store=URL, queues=("a", "b"), lease_s=20.0, renew_s=2.0) == settings
    assert {
        **dict.fromkeys(NAMES, "default"),
        "lease_s": "windlass.toml",
        "queues": "windlass.toml",
        "renew_s": "argument",
        "store": "WINDLASS_STORE",
    } == sources


def test_a_windlass_toml_hides_the_table_in_pyproject_toml_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path, {"windlass.toml": "", "pyproject.toml": "[tool.windlass]\nconcurrency = 1"})
    settings, _ = load_settings({}, {}, tmp_path)

    assert Settings() == settings


@pytest.mark.parametrize("text", ["", "[project]\nname = 'shop'", "[tool.ruff]", "tool = 1"])
def test_a_pyproject_toml_may_say_nothing_of_windlass(text: str, tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": text})
    settings, _ = load_settings({}, {}, tmp_path)

    assert Settings() == settings


# -- values ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("WINDLASS_STORE", "sqlite:////var/lib/shop.db", "sqlite:////var/lib/shop.db"),
        ("WINDLASS_STORE", "sqlite:///a,b.db", "sqlite:///a,b.db"),
        ("WINDLASS_QUEUES", "mail", ("mail",)),
        ("WINDLASS_QUEUES", "mail, slow mail,,", ("mail", "slow mail")),
        ("WINDLASS_CONCURRENCY", "64", 64),
        ("WINDLASS_LEASE_S", "30", 30.0),
        ("WINDLASS_RETENTION_S", "1e-3", 0.001),
        ("WINDLASS_SQLITE_SYNCHRONOUS", "extra", "extra"),
        ("WINDLASS_LOG_LEVEL", "debug", "debug"),
    ],
)
def test_a_variable_of_the_environment_is_converted_to_the_type_of_its_setting(
    variable: str, text: str, value: object, tmp_path: Path
) -> None:
    settings, _ = load_settings({}, {variable: text}, tmp_path)
    found = getattr(settings, variable.removeprefix("WINDLASS_").lower())

    assert (value, type(value)) == (found, type(found))


def test_a_whole_number_is_good_for_a_setting_in_seconds(tmp_path: Path) -> None:
    settings, _ = load_settings({"lease_s": 20}, {}, tmp_path)

    assert (20.0, float) == (settings.lease_s, type(settings.lease_s))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("concurrency", "16", "must be a whole number"),
        ("concurrency", 16.5, "must be a whole number"),
        ("concurrency", True, "must be a whole number"),
        ("concurrency", None, "must be a whole number"),
        ("lease_s", "15", "must be a number"),
        ("lease_s", True, "must be a number"),
        ("log_level", 10, "must be a text"),
        ("queues", "default", "must be a list of texts"),
        ("queues", ["default", 1], "must be a list of texts"),
        ("concurrency", 0, "must be at least 1"),
        ("concurrency", 10_001, "must be at most 10,000"),
        ("lease_s", 0.1, "must be at least 0.5"),
        ("lease_s", math.inf, "must be at most 3,600"),
        ("lease_s", 10**400, "must be a number"),
        ("renew_s", 0, "must be at least 0.05"),
        ("sweep_interval_s", 61, "must be at most 60"),
        ("poll_interval_s", 0, "must be at least 0.01"),
        ("shutdown_timeout_s", -1, "must be at least 0"),
        ("payload_limit_bytes", 0, "must be at least 1"),
        ("payload_limit_bytes", 2**26 + 1, "must be at most 67,108,864"),
        ("losses_max", 0, "must be at least 1"),
        ("unknown_task_delay_s", 0, "must be at least 0.1"),
        ("claim_batch", 1_001, "must be at most 1,000"),
        ("retention_s", 0, "must be more than 0"),
        ("retention_s", math.inf, "must be at most 3,153,600,000"),
        ("pg_pool_size", 0, "must be at least 1"),
        ("sqlite_synchronous", "off", "must be one of full, normal, extra"),
        ("log_level", "INFO", "must be one of debug, info, warning, error"),
        ("queues", [], "must name at least one queue"),
        ("store", "", "must be a URL such as sqlite:///windlass.db"),
        ("store", " sqlite:///a.db", "must be printable, without blanks at its ends"),
    ],
)
def test_a_value_of_a_wrong_type_or_out_of_range_is_refused(
    name: str, value: object, why: str, tmp_path: Path
) -> None:
    assert (name, value, why, "argument") == refusal(tmp_path, {name: value})


@pytest.mark.parametrize("name", ["lease_s", "retention_s", "shutdown_timeout_s"])
def test_a_value_that_is_no_number_is_out_of_every_range(name: str, tmp_path: Path) -> None:
    found, _, why, _ = refusal(tmp_path, {name: math.nan})

    assert name == found
    assert why.startswith("must be ")


@pytest.mark.parametrize("name", ["", " mail", "a\nb", "x" * 201])
def test_a_queue_has_a_name_that_every_store_can_carry(name: str, tmp_path: Path) -> None:
    setting, value, why, source = refusal(tmp_path, {"queues": ["default", name]})

    assert ("queues", ["default", name], "argument") == (setting, value, source)
    assert why.startswith(f"the queue name {name!r} must be ")


@pytest.mark.parametrize(
    ("files", "environ", "source"),
    [
        ({"windlass.toml": "concurrency = 0"}, {}, "windlass.toml"),
        ({"pyproject.toml": "[tool.windlass]\nconcurrency = 0"}, {}, PYPROJECT),
        ({}, {"WINDLASS_CONCURRENCY": "0"}, "WINDLASS_CONCURRENCY"),
        ({"windlass.toml": "concurrency = 0"}, {"WINDLASS_CONCURRENCY": "9"}, "windlass.toml"),
    ],
)
def test_a_refusal_names_the_source_even_of_a_hidden_value(
    files: dict[str, str], environ: dict[str, str], source: str, tmp_path: Path
) -> None:
    write(tmp_path, files)

    assert ("concurrency", source) == refusal(tmp_path, {}, environ)[::3]


@pytest.mark.parametrize(
    ("variable", "text", "why"),
    [
        ("WINDLASS_CONCURRENCY", "many", "must be a whole number"),
        ("WINDLASS_CONCURRENCY", "", "must be a whole number"),
        ("WINDLASS_LEASE_S", "15s", "must be a number"),
        ("WINDLASS_QUEUES", " , ", "must name at least one queue"),
    ],
)
def test_a_variable_that_cannot_be_converted_is_refused_by_its_name(
    variable: str, text: str, why: str, tmp_path: Path
) -> None:
    assert (why, variable) == refusal(tmp_path, {}, {variable: text})[2:]


def test_a_text_in_a_file_is_not_taken_for_a_number(tmp_path: Path) -> None:
    write(tmp_path, {"windlass.toml": "concurrency = '8'"})
    expected = ("concurrency", "8", "must be a whole number", "windlass.toml")

    assert expected == refusal(tmp_path)


# -- the lease and its renewal -----------------------------------------------


def test_a_lease_may_be_renewed_at_its_half(tmp_path: Path) -> None:
    settings, _ = load_settings({"lease_s": 4, "renew_s": 2}, {}, tmp_path)

    assert Settings(lease_s=4.0, renew_s=2.0) == settings


@pytest.mark.parametrize(
    ("overrides", "environ", "expected"),
    [
        (
            {"renew_s": 8},
            {},
            (
                "renew_s",
                8.0,
                "must be at most half of lease_s, which is 15 (from default)",
                "argument",
            ),
        ),
        (
            {"lease_s": 4},
            {"WINDLASS_RENEW_S": "3"},
            (
                "renew_s",
                3.0,
                "must be at most half of lease_s, which is 4 (from argument)",
                "WINDLASS_RENEW_S",
            ),
        ),
        (
            {},
            {"WINDLASS_LEASE_S": "8"},
            (
                "lease_s",
                8.0,
                "must be at least twice renew_s, which is 5; lower renew_s too",
                "WINDLASS_LEASE_S",
            ),
        ),
    ],
)
def test_a_lease_that_no_late_renewal_could_save_is_refused_where_it_was_set(
    overrides: dict[str, Any],
    environ: dict[str, str],
    expected: tuple[str, float, str, str],
    tmp_path: Path,
) -> None:
    assert expected == refusal(tmp_path, overrides, environ)


# -- unknown names -----------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "environ", "files", "expected"),
    [
        ({"leas_s": 1}, {}, {}, ("leas_s", "arguments", "lease_s")),
        ({"xyz": 1}, {}, {}, ("xyz", "arguments", None)),
        (
            {},
            {"WINDLASS_LEASE": "1"},
            {},
            ("WINDLASS_LEASE", "the environment", "WINDLASS_LEASE_S"),
        ),
        (
            {},
            {"WINDLASS_lease_s": "1"},
            {},
            ("WINDLASS_lease_s", "the environment", "WINDLASS_LEASE_S"),
        ),
        ({}, {}, {"windlass.toml": "queue = 'a'"}, ("queue", "windlass.toml", "queues")),
        (
            {},
            {},
            {"windlass.toml": "[tool.windlass]\nqueues = ['a']"},
            ("tool", "windlass.toml", None),
        ),
        (
            {},
            {},
            {"pyproject.toml": "[tool.windlass]\nstores = 'a'"},
            ("stores", PYPROJECT, "store"),
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(
    overrides: dict[str, Any],
    environ: dict[str, str],
    files: dict[str, str],
    expected: tuple[str, str, str | None],
    tmp_path: Path,
) -> None:
    write(tmp_path, files)
    with pytest.raises(UnknownSetting) as caught:
        load_settings(overrides, environ, tmp_path)

    assert expected == caught.value.args


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    environ = {**dict.fromkeys(NOT_SETTINGS, "shop:app"), "PATH": "/bin", "XWINDLASS_A": "1"}
    settings, _ = load_settings({}, environ, tmp_path)

    assert Settings() == settings


# -- files -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["windlass.toml", "pyproject.toml"])
def test_a_file_that_cannot_be_parsed_is_refused_with_the_place_of_the_mistake(
    name: str, tmp_path: Path
) -> None:
    write(tmp_path, {name: "lease_s = 1\nrenew_s 2"})
    setting, value, why, source = refusal(tmp_path)

    assert (name, str(tmp_path / name), name) == (setting, value, source)
    assert why.startswith("the file is not valid TOML: ")
    assert "line 2" in why


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "windlass.toml").write_bytes(b"store = 'caf\xe9'")
    expected = "the file is not valid TOML: it is not encoded in UTF-8"

    assert expected == refusal(tmp_path)[2]


@pytest.mark.parametrize("name", ["windlass.toml", "pyproject.toml"])
def test_a_file_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    setting, value, why, source = refusal(tmp_path)

    assert (name, str(tmp_path / name), name) == (setting, value, source)
    assert why.startswith("the file cannot be read: ")


def test_the_table_in_pyproject_toml_must_be_a_table(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "[tool]\nwindlass = 1"})
    expected = ("tool.windlass", "pyproject.toml")
    name, _, why, source = refusal(tmp_path)

    assert expected == (name, source)
    assert why.startswith("must be a table")


# -- secrets -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://ann:hunter2@db/shop", "postgresql://ann:***@db/shop"),
        ("postgresql://:hunter2@db/shop", "postgresql://:***@db/shop"),
        ("postgresql://ann:p@ss/wo?rd#1@db:5432/shop", "postgresql://ann:***@db:5432/shop"),
        ("postgresql://ann@corp:hunter2@db/shop", "postgresql://ann@corp:***@db/shop"),
        ("postgresql://db/shop?password=hunter2", "postgresql://db/shop?password=***"),
        (
            "postgresql://db/shop?user=ann&PASSWORD=hunter2&ssl=on",
            "postgresql://db/shop?user=ann&PASSWORD=***&ssl=on",
        ),
        ("postgresql://db/?sslpassword=a#b c", "postgresql://db/?sslpassword=***"),
        ("postgresql://ann:one@db/?password=two", "postgresql://ann:***@db/?password=***"),
        ("ann:hunter2@db/shop", "ann:***@db/shop"),
        ("host=db password=hunter2", "host=db password=***"),
    ],
)
def test_a_masked_url_shows_no_password(url: str, masked: str) -> None:
    assert masked == masked_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:///windlass.db",
        "sqlite:////var/lib/a@b.db",
        "postgresql://db/shop",
        "postgresql://ann@db:5432/shop?sslmode=require",
        "postgresql://ann@[::1]:5432/shop",
    ],
)
def test_a_url_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert url == masked_url(url)


@pytest.mark.parametrize("value", [f"{URL}\n", URL.encode(), [URL], {"url": URL}])
def test_a_refused_store_url_does_not_tell_its_password(value: object, tmp_path: Path) -> None:
    with pytest.raises(BadSetting) as caught:
        load_settings({"store": value}, {}, tmp_path)
    error = caught.value
    told = [str(error), repr(error), str(vars(error)), str(pickle.dumps(error))]

    assert not [text for text in told if "hunter2" in text]
    assert error.__cause__ is None


# -- the reference -----------------------------------------------------------


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_every_setting_explains_itself_in_one_sentence(field: "dataclasses.Field[Any]") -> None:
    help_text = field.metadata["help"]

    assert help_text[0].isupper()
    assert help_text.endswith(".")
    assert set("|\n").isdisjoint(help_text)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_range_that_holds_its_default(name: str, tmp_path: Path) -> None:
    default = getattr(Settings(), name)
    settings, sources = load_settings({name: default}, {}, tmp_path)
    limits = {field.name: field.metadata for field in dataclasses.fields(Settings)}[name]

    assert (default, "argument") == (getattr(settings, name), sources[name])
    assert not isinstance(default, int | float) or {"least", "above"} & set(limits)
    assert not isinstance(default, int | float) or "most" in limits


# -- formats and their key ---------------------------------------------------


@pytest.mark.parametrize("name", ["pickle", "", "Upper", "a b", "x" * 33])
def test_the_format_of_an_app_is_a_name_and_never_pickle(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, {"serializer": name})[:2] == ("serializer", name)


def test_a_key_that_is_too_short_is_refused_and_never_told(tmp_path: Path) -> None:
    short = "hunter2" * 4
    with pytest.raises(BadSetting, match="at least 32") as caught:
        load_settings({}, {"WINDLASS_PICKLE_KEY": short}, tmp_path)
    error = caught.value

    for told in (str(error), repr(error), str(vars(error)), str(pickle.dumps(error))):
        assert "hunter2" not in told


def test_a_secret_is_in_no_repr_and_shown_masked(tmp_path: Path) -> None:
    settings, _ = load_settings({"pickle_key": "sesame" * 6, "store": URL}, {}, tmp_path)
    shown = shown_settings(settings)

    assert "sesame" not in repr(settings) + str(shown)
    assert "hunter2" not in str(shown)
    assert (shown["pickle_key"], shown["store"]) == ("***", "postgresql://ann:***@db/shop")
    assert shown_settings(Settings())["pickle_key"] == ""
