from __future__ import annotations

from bentsao.core.formats import FORMATS
from bentsao.models.presets import BASES, EMBEDDED, find_preset


def test_every_name_finds_its_base():
    names = [name for short, p in BASES.items() for name in (short, p.id, *p.formerly)]
    assert len(names) == len(set(names))
    for short, preset in BASES.items():
        for name in (short, short.upper(), preset.id, *preset.formerly):
            assert find_preset(name) is preset


def test_other_names_find_none():
    assert find_preset("someone/else") is None
    assert find_preset("") is None


def test_default_comes_first_and_formats_exist():
    assert next(iter(BASES)) == EMBEDDED
    assert all(preset.format is None or preset.format in FORMATS for preset in BASES.values())
