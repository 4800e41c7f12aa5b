"""How the made-up shop writes about a product: as uneven as real shops do.

Titles differ in order, abbreviations and praise and leave facts out; the text states every fact,
and beside them says true things that mislead a search by words: what else there is, what it is
not, what it goes with.
"""

from __future__ import annotations

from random import Random

from demo.aisles import TYPES, ProductType, spellings
from demo.products import Product
from demo.vocabulary import ATTRIBUTES, PRAISE

_BEHIND_THE_NAME = ("with ", "without ", "w/ ", "w/o ", "no ", "for ")
_MOST_FACTS_IN_A_TITLE = 3
_SHARE_WITH_COLOR_FIELD = 0.85


def write_listing(product: Product, seed: int) -> dict[str, object]:
    """The catalogue's row in BEIR names: title, text, brand, color, category, price_cents."""
    rng = Random(f"{seed}/listing/{product.id}")
    color = product.attributes.get("color", "")
    return {
        "_id": product.id,
        "title": _title(product, rng),
        "text": _text(product, rng),
        "brand": product.brand,
        # Fields are gappy in real catalogues; the text still says the color.
        "color": color if rng.random() < _SHARE_WITH_COLOR_FIELD else "",
        "category": [product.type.department, product.type.aisle],
        "price_cents": product.price_cents,
    }


def place(name: str, facts: list[str]) -> str:
    """A phrase such as "brown sofa with arms": each fact on the side of the name it belongs to."""
    behind = [fact for fact in facts if fact.startswith(_BEHIND_THE_NAME)]
    before = [fact for fact in facts if fact not in behind]
    return " ".join((*before, name, *behind))


def _title(product: Product, rng: Random) -> str:
    names = list(product.type.attributes)
    rng.shuffle(names)
    # At least one fact is told, more often more, in whatever form comes to the writer's mind.
    names = names[: rng.randint(1, _MOST_FACTS_IN_A_TITLE)]
    facts = [_say(product, name, rng) for name in names]
    name = rng.choice(product.type.forms)
    brand, model = product.brand, _model(rng)
    title = rng.choice(
        (
            f"{brand} {place(name, facts)}",
            f"{brand} {model} {place(name, facts)}",
            f"{name}, {', '.join(facts)} - {brand}",
            f"{place(name, facts)} by {brand}",
            f"{brand} {name} {' '.join(facts)} ({model})",
        )
    )
    if rng.random() < 0.4:
        title = rng.choice((f"{rng.choice(PRAISE)}! {title}", f"{title} | {rng.choice(PRAISE)}"))
    return title if rng.random() < 0.15 else _capitalise(title)


def _text(product: Product, rng: Random) -> str:
    names = list(product.type.attributes)
    rng.shuffle(names)
    said = {name: _say(product, name, rng) for name in names}
    style = rng.choice(("list", "prose"))
    if style == "list":
        facts = "; ".join(f"{name}: {fact}" for name, fact in said.items()) + "."
    else:
        name = rng.choice(product.type.forms)
        facts = f"{place(name, list(said.values()))} from {product.brand}."
    asides = _asides(product, rng)
    rng.shuffle(asides)
    asides = asides[: rng.randint(0, 3)]
    return _capitalise_sentences([facts, *asides] if rng.random() < 0.5 else [*asides, facts])


def _asides(product: Product, rng: Random) -> list[str]:
    """True sentences, most of which name what the product is not."""
    attribute = rng.choice(product.type.attributes)
    other = rng.choice([v for v in ATTRIBUTES[attribute] if v != product.attributes[attribute]])
    sibling = place(rng.choice(product.type.forms), [other])
    asides = [
        f"also sold by us: {sibling}.",
        f"not to be confused with our {sibling}.",
        f"backed by a {rng.randint(1, 5)} year warranty.",
        "ships free, returns within 30 days.",
        f"customers rate it {rng.randint(38, 50) / 10} of 5.",
    ]
    relatives = [t for t in TYPES if t.aisle == product.type.aisle and t.name != product.type.name]
    if relatives:
        relative = rng.choice(relatives)
        asides.append(f"pairs well with any {rng.choice(relative.forms)}.")
        asides.append(f"{relative.name} sold separately.")
    fits = _main_type(product.type)
    if fits is not None:
        asides.append(f"goes with any {rng.choice(fits.forms)}; the {fits.name} is not included.")
    return asides


def _main_type(product_type: ProductType) -> ProductType | None:
    return next((t for t in TYPES if t.name == product_type.fits), None)


def _say(product: Product, attribute: str, rng: Random) -> str:
    return rng.choice(spellings(product.type, attribute, product.attributes[attribute]))


def _model(rng: Random) -> str:
    letters = "".join(rng.choice("BDFGKLMNPRTVXZ") for _ in range(2))
    return f"{letters}-{rng.randint(100, 9999)}"


def _capitalise(title: str) -> str:
    """Title case for plain words; "18V", "w/o" and "SS" stay as they are."""
    small = {"for", "with", "without", "and", "by", "no", "in", "of", "to"}
    words = title.split(" ")
    return " ".join(
        word[:1].upper() + word[1:] if word.isalpha() and word not in small else word
        for word in words
    )


def _capitalise_sentences(sentences: list[str]) -> str:
    return " ".join(sentence[:1].upper() + sentence[1:] for sentence in sentences)
