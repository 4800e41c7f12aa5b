"""The made-up shop's words: brands, attributes and their values, what shops add around them.

All of it is invented. Brand names were looked for in public catalogues and code and dropped where
a company bears them; a likeness that is left is chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

BRANDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        department: tuple(names.split())
        for department, names in {
            # Some names hold the word of a product they do not sell, and two are near-twins:
            # shoppers' words meet such names in every shop.
            "Tools": "Drillhaven Sawfell Steelwren Tarnbeck Redbarrow Hobnell Copperlark",
            "Home": "Lampmoor Woolstead Brindlecote Tarnbrook Fenwillow Umberlow Redbarrow",
            "Kitchen": "Kettlewick Copperlark Brasshollow Plumbarrow Fenwillow Steelwren Lampmoor",
            "Electronics": "Kobrixa Ustarra Skarvind Lunbrook Grenlow Glimharrow Bluehatch",
            "Garden": "Oakfen Trellowyn Kelpmoor Grenlow Tarnbeck Tarnbrook Harkenfold Drillhaven",
            "Clothing": "Woolstead Cassivane Dorrimant Ellowick Skarvind Harkenfold Greyfennel",
            "Pets": "Pawthorne Oakfen Kelpmoor Mirrowby Ellowick Umberlow Kettlewick",
        }.items()
    }
)
"""Who sells in which department."""


def _values(*spellings: str) -> Mapping[str, tuple[str, ...]]:
    """Values by their plain name, each with all its forms."""
    forms = (tuple(spelling.split("|")) for spelling in spellings)
    return MappingProxyType({form[0]: form for form in forms})


# A value is "plain form|other form|...". Forms that begin with a preposition stand behind the
# product's name, all others before it.
ATTRIBUTES: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "color": _values(
            "black|blk",
            "white|wht",
            "gray|grey|charcoal",
            "blue|navy",
            "green|olive",
            "brown|chestnut",
            "red|crimson",
        ),
        "power": _values(
            "18V cordless|cordless 18 volt|18-volt battery powered",
            "12V cordless|cordless 12 volt|12-volt battery powered",
            "corded|plug-in|120V corded electric",
        ),
        "motor": _values("brushless|brushless motor", "brushed|brushed motor"),
        "voltage": _values("12V|12 volt|12-volt", "18V|18 volt|18-volt", "40V|40 volt|40-volt"),
        "chuck": _values(
            '3/8 in chuck|3/8" chuck|3/8 inch chuck', '1/2 in chuck|1/2" chuck|1/2 inch chuck'
        ),
        "for material": _values(
            "for wood|for timber",
            "for metal|for steel and iron",
            "for masonry|for brick and concrete",
        ),
        "pieces": _values(
            "5 piece|5 pc|5-pc set", "10 piece|10 pc|10-pc set", "20 piece|20 pc|20-pc set"
        ),
        "blade size": _values(
            '7-1/4 in|7-1/4"|7.25 inch', '6-1/2 in|6-1/2"|6.5 inch', '10 in|10"|10 inch'
        ),
        "height": _values("4 ft|4 foot|4'", "6 ft|6 foot|6'", "8 ft|8 foot|8'"),
        "frame": _values(
            "aluminum|aluminium|alu", "fiberglass|fibreglass", "steel|powder-coated steel"
        ),
        "pipe size": _values(
            '1/2 in|1/2"|half inch',
            '3/4 in|3/4"|three quarter inch',
            '1 in|1"|one inch',
            '2 in|2"|two inch',
        ),
        "pipe material": _values(
            "PVC|pvc plastic", "copper|cu", "galvanized steel|galvanized|galv steel"
        ),
        "sheen": _values("matte|flat", "eggshell", "gloss|high gloss|glossy"),
        "can size": _values("1 gallon|1 gal|gallon can", "1 quart|1 qt|quart can"),
        "roller width": _values('4 in|4"|4 inch', '9 in|9"|9 inch', '18 in|18"|18 inch'),
        "light": _values("warm white|2700K|soft white", "daylight|5000K|cool white"),
        "bulb base": _values(
            "E26|standard base|medium base", "E12|candelabra base", "GU10|twist-lock base"
        ),
        "dimming": _values(
            "dimmable|with dimmer support", "not dimmable|non-dimmable|non dimmable"
        ),
        "seats": _values("2 seater|two seat|2-seat", "3 seater|three seat|3-seat"),
        "upholstery": _values(
            "leather|real leather|top grain leather", "fabric|linen fabric", "velvet|plush velvet"
        ),
        "desk width": _values('40 in|40"|40 inch', '48 in|48"|48 inch', '60 in|60"|60 inch'),
        "drawers": _values(
            "with drawers|with 2 drawers|w/ drawers", "without drawers|no drawers|w/o drawers"
        ),
        "arms": _values("with arms|with armrests|w/ arms", "without arms|armless|no armrests"),
        "bed size": _values(
            "twin|twin size", "full|full size|double", "queen|queen size", "king|king size"
        ),
        "bed frame": _values("wood|wooden|solid pine", "metal|iron", "upholstered|padded linen"),
        "firmness": _values("firm|extra firm", "medium|medium firm", "soft|plush"),
        "opacity": _values(
            "blackout|room darkening|100% light blocking", "sheer|see-through|voile"
        ),
        "length": _values(
            '63 in|63"|63 inch long', '84 in|84"|84 inch long', '96 in|96"|96 inch long'
        ),
        "rug size": _values(
            "5x8 ft|5' x 8'|5 by 8", "8x10 ft|8' x 10'|8 by 10", "2x3 ft|2' x 3'|2 by 3"
        ),
        "rug fiber": _values(
            "wool|hand-tufted wool", "jute|braided jute", "polypropylene|synthetic|PP"
        ),
        "lid": _values("with lid|lidded|w/ lid", "without lid|no lid|w/o lid"),
        "material": _values("plastic|clear plastic", "wicker|woven rattan", "canvas|canvas fabric"),
        "stand material": _values("bamboo|bamboo wood", "acrylic|clear acrylic", "metal|metallic"),
        "nozzle body": _values(
            "brass|solid brass", "plastic|ABS plastic", "aluminum|aluminium|alu"
        ),
        "volume": _values(
            "20 qt|20 quart|19 liter", "50 qt|50 quart|47 liter", "100 qt|100 quart|95 liter"
        ),
        "kettle heat": _values("electric|1500W electric", "stovetop|stove top|for gas hob"),
        "kettle body": _values(
            "glass|borosilicate glass",
            "stainless steel|stainless|SS",
            "plastic|BPA-free plastic",
            "enamel|enameled",
        ),
        "infuser": _values("with infuser|with strainer|w/ infuser", "without infuser|no infuser"),
        "pan": _values(
            "cast iron|seasoned cast iron",
            "stainless steel|stainless|tri-ply SS",
            "nonstick|non-stick|nonstick aluminum",
        ),
        "pan size": _values('8 in|8"|20 cm', '10 in|10"|25 cm', '12 in|12"|30 cm'),
        "knife length": _values(
            '6 in|6"|6 inch blade', '8 in|8"|8 inch blade', '10 in|10"|10 inch blade'
        ),
        "knife steel": _values("carbon steel", "ceramic", "stainless steel|stainless|SS"),
        "brew": _values("drip|filter drip", "single serve|pod|capsule", "espresso|15 bar espresso"),
        "grinder": _values("with grinder|with built-in grinder", "without grinder|no grinder"),
        "drive": _values("manual|hand crank", "electric|electrically driven"),
        "cups": _values("4 cup|4-cup|size 2", "12 cup|12-cup|size 4"),
        "bottle volume": _values(
            "16 oz|16 ounce|473 ml", "24 oz|24 ounce|710 ml", "40 oz|40 ounce|1.2 l"
        ),
        "bottle body": _values(
            "insulated steel|vacuum insulated", "glass", "plastic|tritan plastic"
        ),
        "straw": _values("with straw|w/ straw|with straw lid", "without straw|no straw"),
        "screen": _values('8 in|8"|8 inch', '11 in|11"|11 inch', '13 in|13"|13 inch'),
        "storage": _values("64GB|64 GB", "128GB|128 GB", "256GB|256 GB"),
        "keyboard": _values(
            "with keyboard|w/ keyboard|with bluetooth keyboard", "without keyboard|no keyboard"
        ),
        "connection": _values(
            "wireless|bluetooth|cordless bluetooth", "wired|3.5 mm wired|with cable"
        ),
        "noise": _values("with noise cancelling|with ANC", "without noise cancelling|no ANC"),
        "display": _values('24 in|24"|24 inch', '27 in|27"|27 inch', '32 in|32"|32 inch'),
        "panel": _values("curved|curved panel", "flat|flat panel"),
        "screens": _values("single|for one screen", "dual|for two screens"),
        "cable length": _values("3 ft|3 foot|0.9 m", "6 ft|6 foot|1.8 m", "10 ft|10 foot|3 m"),
        "cable jacket": _values("braided|nylon braided", "rubber|smooth rubber"),
        "watts": _values("20W|20 watt", "65W|65 watt", "100W|100 watt"),
        "hose length": _values("25 ft|25 foot|25'", "50 ft|50 foot|50'", "100 ft|100 foot|100'"),
        "hose kind": _values("expandable|stretch", "rubber|heavy rubber", "vinyl|light vinyl"),
        "hose": _values("with hose|hose included", "without hose|no hose|hose not included"),
        "mower power": _values(
            "gas|gas powered|petrol",
            "40V cordless|cordless 40 volt|battery 40V",
            "corded|corded electric|plug-in",
        ),
        "cutting width": _values('16 in|16"|16 inch', '20 in|20"|20 inch'),
        "span": _values("9 ft|9 foot|9'", "7.5 ft|7.5 foot|7-1/2'", "11 ft|11 foot|11'"),
        "base": _values("with base|base included", "without base|no base|base not included"),
        "weight": _values("30 lb|30 pound|14 kg", "50 lb|50 pound|23 kg"),
        "wearer": _values(
            "women's|for women|ladies", "men's|for men|mens", "kids'|for kids|children's"
        ),
        "water resistance": _values("waterproof|watertight", "not waterproof|non-waterproof"),
        "hood": _values("with hood|hooded|w/ hood", "without hood|no hood|hoodless"),
        "pack volume": _values("20L|20 liter", "30L|30 liter", "45L|45 liter"),
        "sleeve": _values(
            "with laptop sleeve|with laptop pocket", "without laptop sleeve|no laptop pocket"
        ),
        "pet size": _values(
            "small|S|for small dogs", "medium|M|for medium dogs", "large|L|for large dogs"
        ),
        "cover": _values(
            "with washable cover|with removable cover", "without cover|no removable cover"
        ),
    }
)
"""Values by attribute, and for each all the ways in which shops and shoppers write it."""

EXCLUDABLE = frozenset(
    {
        "color", "upholstery", "material", "kettle body", "pan", "knife steel", "bottle body",
        "pipe material", "rug fiber", "frame", "bed frame", "sheen",
    }
)  # fmt: skip
"""Attributes of which shoppers say what they do not want ("not plastic")."""

SHOP_ONLY = frozenset(
    {"blk", "wht", "alu", "cu", "SS", "tri-ply SS", "PP", "S", "M", "L", "5 pc", "10 pc", "20 pc"}
)
"""Forms that shops write and shoppers do not type."""

PRAISE = (
    "New", "Best Seller", "Premium", "Heavy Duty", "Pro", "2-Year Warranty", "Upgraded",
    "Great Gift", "Value Pack", "Deluxe", "Free Returns",
)  # fmt: skip
"""What shops put around a title, and what says nothing."""
