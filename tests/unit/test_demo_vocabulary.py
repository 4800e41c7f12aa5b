"""The made-up shop's words let a reader tell types and values apart."""

from collections import Counter

import pytest

from demo.aisles import TYPES, spellings
from demo.listing import place
from demo.vocabulary import ATTRIBUTES, BRANDS, EXCLUDABLE, SHOP_ONLY


def test_no_two_types_share_a_name():
    """A name means one type, or grades could not follow from it."""
    counts = Counter(form.lower() for t in TYPES for form in t.forms)

    assert [form for form, count in counts.items() if count > 1] == []


def test_no_two_values_of_an_attribute_share_a_form():
    """A form means one value of its attribute."""
    for attribute, values in ATTRIBUTES.items():
        forms = [form.lower() for spelled in values.values() for form in spelled]
        assert len(forms) == len(set(forms)), attribute


def test_every_attribute_has_a_type_and_every_type_has_known_attributes():
    """No word of the vocabulary is unused, none is missing."""
    assert {name for t in TYPES for name in t.attributes} == set(ATTRIBUTES)
    assert set(ATTRIBUTES) >= EXCLUDABLE
    assert {t.department for t in TYPES} == set(BRANDS)


def test_an_accessory_stands_in_the_aisle_of_what_it_fits():
    """So that it is related, grade 1, to who asks for the main product."""
    aisle_of = {t.name: t.aisle for t in TYPES}
    accessories = [t for t in TYPES if t.fits]

    assert len(accessories) > 20
    assert all(aisle_of[t.fits] == t.aisle for t in accessories)


def test_shoppers_have_a_word_for_every_value():
    """What only shops write is never the only form."""
    forms = {form for values in ATTRIBUTES.values() for value in values.values() for form in value}

    assert forms >= SHOP_ONLY
    for values in ATTRIBUTES.values():
        for spelled in values.values():
            assert set(spelled) - SHOP_ONLY


def test_spellings_refuse_an_attribute_that_the_type_lacks():
    """A wrong pairing is a fault of the program, not an empty answer."""
    kettle = next(t for t in TYPES if t.name == "kettle")

    assert spellings(kettle, "brand", "Kettlewick") == ("Kettlewick",)
    assert spellings(kettle, "color", "black") == ("black", "blk")
    with pytest.raises(KeyError, match="kettle has no attribute 'seats'"):
        spellings(kettle, "seats", "2 seater")


def test_facts_stand_on_their_side_of_the_name():
    """Adjectives before, prepositions behind."""
    assert place("sofa", ["with arms", "brown", "no lid"]) == "brown sofa with arms no lid"
