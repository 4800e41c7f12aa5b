"""The made-up shop's aisles and the types of product that stand in them."""

from __future__ import annotations

from dataclasses import dataclass

from demo.vocabulary import ATTRIBUTES


@dataclass(frozen=True, slots=True)
class ProductType:
    """What a product is, in all the words for it."""

    forms: tuple[str, ...]
    """Names, the plain one first; no two types share one."""
    department: str
    aisle: str
    attributes: tuple[str, ...]
    """What every product of the type has one value of."""
    price_cents: tuple[int, int]
    """Lowest and highest."""
    fits: str = ""
    """Of an accessory: the name of the type it goes with."""

    @property
    def name(self) -> str:
        """The plain name."""
        return self.forms[0]


def _aisle(department: str, aisle: str, *rows: tuple[str, str, int, int]) -> list[ProductType]:
    """Types from rows of (forms, attributes, lowest and highest price in dollars).

    Forms are split by ``|``, attributes by ``,``; ``> name`` behind the forms makes an accessory.
    """
    types = []
    for forms, attributes, low, high in rows:
        names, _, fits = forms.partition(" > ")
        types.append(
            ProductType(
                forms=tuple(names.split("|")),
                department=department,
                aisle=aisle,
                attributes=tuple(attributes.split(",")),
                price_cents=(low * 100, high * 100),
                fits=fits,
            )
        )
    return types


TYPES: tuple[ProductType, ...] = (
    *_aisle("Tools", "Drills & Drivers",
        ("drill|drill driver|power drill", "power,motor,chuck", 39, 229),
        ("impact driver|impact wrench", "power,motor", 59, 249),
        ("drill bit set|drill bits|bits for drills > drill", "for material,pieces", 8, 60),
        ("drill charger|battery charger for drill > drill", "voltage,color", 15, 70)),
    *_aisle("Tools", "Saws",
        ("circular saw|skill saw", "power,motor,blade size", 49, 260),
        ("jigsaw|jig saw|scroll jigsaw", "power,motor", 35, 180),
        ("circular saw blade|saw blade|blade for circular saws > circular saw",
         "blade size,for material", 9, 60)),
    *_aisle("Tools", "Ladders",
        ("step ladder|stepladder|folding ladder", "height,frame", 35, 190),
        ("ladder stabilizer|ladder stand-off|stabilizer for ladders > step ladder",
         "frame,color", 20, 90)),
    *_aisle("Tools", "Pipes & Fittings",
        ("pipe|pipe section|tubing", "pipe size,pipe material", 4, 40),
        ("elbow fitting|90 degree elbow|pipe elbow", "pipe size,pipe material", 1, 15),
        ("pipe clamp|pipe strap|clamp for pipes > pipe", "pipe size,pipe material", 1, 12)),
    *_aisle("Tools", "Paint",
        ("interior paint|wall paint|indoor paint", "color,sheen,can size", 14, 70),
        ("paint roller|roller for wall paint > interior paint", "roller width,pieces", 5, 30)),
    *_aisle("Home", "Lighting",
        ("LED bulb|LED light bulb|LED lamp bulb", "light,bulb base,dimming", 4, 30),
        ("floor lamp|standing lamp|torchiere", "color,dimming", 35, 220),
        ("lamp shade|lampshade|shade for floor lamps > floor lamp", "color,material", 12, 60)),
    *_aisle("Home", "Sofas & Armchairs",
        ("sofa|couch|settee", "seats,upholstery,color", 299, 1899),
        ("armchair|accent chair|lounge chair", "upholstery,color", 129, 799),
        ("sofa cover|couch slipcover|cover for sofas > sofa", "seats,color", 25, 110)),
    *_aisle("Home", "Desks & Office Chairs",
        ("desk|computer desk|writing table", "desk width,drawers,color", 79, 520),
        ("office chair|desk chair|task chair", "arms,color,upholstery", 69, 480),
        ("desk mat|desk pad|mat for desks > desk", "color,desk width", 12, 50)),
    *_aisle("Home", "Beds",
        ("bed frame|bedstead|platform bed", "bed size,bed frame,color", 119, 899),
        ("mattress|spring mattress|foam mattress", "bed size,firmness", 149, 1300),
        ("mattress protector|mattress cover|mattress pad > mattress",
         "bed size,water resistance", 19, 90)),
    *_aisle("Home", "Curtains",
        ("curtains|drapes|window curtain panels", "opacity,length,color", 19, 120),
        ("curtain rod|drapery pole|rod for curtains > curtains", "color,length", 14, 80)),
    *_aisle("Home", "Rugs",
        ("area rug|rug|carpet", "rug size,rug fiber,color", 39, 650),
        ("rug pad|anti-slip rug underlay|pad for rugs > area rug", "rug size", 12, 90)),
    *_aisle("Home", "Storage",
        ("storage box|storage bin|tote", "volume,lid,material", 9, 70),
        ("laundry basket|laundry hamper|washing basket", "lid,material,color", 14, 70),
        ("box divider|drawer divider|divider for storage boxes > storage box",
         "material,pieces", 6, 30)),
    *_aisle("Kitchen", "Kettles & Teapots",
        ("kettle|tea kettle|water boiler", "kettle heat,kettle body,color", 22, 140),
        ("teapot|tea pot", "kettle body,infuser", 15, 80),
        ("kettle descaler|limescale remover for kettles > kettle", "pieces", 5, 20)),
    *_aisle("Kitchen", "Pans",
        ("frying pan|skillet|fry pan", "pan,pan size,lid", 18, 180),
        ("saucepan|sauce pan|milk pan", "pan,lid", 18, 140),
        ("pan lid|pan cover|lid for frying pans > frying pan", "pan size", 9, 40)),
    *_aisle("Kitchen", "Knives",
        ("chef knife|chef's knife|cook's knife", "knife length,knife steel", 19, 210),
        ("knife sharpener|sharpening tool for knives > chef knife", "drive,color", 9, 120),
        ("knife block|knife holder|empty block for knives > chef knife",
         "color,stand material", 15, 80)),
    *_aisle("Kitchen", "Coffee",
        ("coffee maker|coffee machine|brewer", "brew,grinder,color", 29, 520),
        ("coffee grinder|coffee mill|bean grinder", "drive,color", 19, 190),
        ("coffee filter|paper filter for coffee makers > coffee maker", "cups,pieces", 3, 18)),
    *_aisle("Kitchen", "Bottles",
        ("water bottle|drinking bottle|sports flask", "bottle volume,bottle body,straw", 9, 50),
        ("travel mug|insulated tumbler|to-go cup", "bottle volume,lid,color", 10, 45),
        ("bottle brush|brush for water bottles > water bottle", "pieces,color", 4, 18)),
    *_aisle("Electronics", "Tablets",
        ("tablet|tablet computer|android tablet", "screen,storage,color", 89, 780),
        ("tablet case|case for tablet|tablet sleeve > tablet", "screen,keyboard,color", 12, 120),
        ("tablet screen protector|glass screen film for tablet > tablet", "screen,pieces", 7, 30)),
    *_aisle("Electronics", "Headphones",
        ("headphones|over-ear headphones|headset", "connection,noise,color", 25, 380),
        ("earbuds|in-ear buds|earphones", "connection,noise,color", 15, 260),
        ("headphone stand|headphone hook|holder for headphones > headphones",
         "color,stand material", 9, 50)),
    *_aisle("Electronics", "Monitors",
        ("monitor|computer screen|PC display", "display,panel", 99, 780),
        ("monitor arm|monitor mount|desk mount for monitors > monitor", "screens,color", 25, 190)),
    *_aisle("Electronics", "Chargers & Cables",
        ("USB-C charger|type C wall charger|USB-C power adapter", "watts,color", 12, 90),
        ("USB-C cable|type C cord|USB C charging cable > USB-C charger",
         "cable length,cable jacket,color", 6, 35)),
    *_aisle("Garden", "Watering",
        ("garden hose|water hose|yard hose", "hose length,hose kind", 18, 110),
        ("hose reel|hose cart|reel for garden hoses > garden hose", "hose,hose length", 29, 190),
        ("hose nozzle|spray gun for garden hoses > garden hose", "color,nozzle body", 7, 35)),
    *_aisle("Garden", "Mowers & Trimmers",
        ("lawn mower|lawnmower|grass mower", "mower power,cutting width", 129, 699),
        ("string trimmer|weed eater|grass trimmer", "mower power,motor", 49, 290),
        ("mower blade|blade for lawn mowers > lawn mower", "cutting width,pieces", 12, 60)),
    *_aisle("Garden", "Patio",
        ("patio umbrella|garden parasol|market umbrella", "span,base,color", 49, 320),
        ("umbrella base|parasol stand|base for patio umbrellas > patio umbrella",
         "weight,color", 29, 130)),
    *_aisle("Clothing", "Boots",
        ("rain boots|wellies|rubber boots", "wearer,color", 19, 120),
        ("hiking boots|trekking boots|trail boots", "wearer,water resistance,color", 45, 260),
        ("boot insoles|shoe inserts|insoles for hiking boots > hiking boots",
         "wearer,pieces", 8, 45)),
    *_aisle("Clothing", "Jackets",
        ("rain jacket|raincoat|rain shell", "wearer,hood,color", 29, 220),
        ("fleece jacket|fleece|polar fleece top", "wearer,hood,color", 25, 140)),
    *_aisle("Clothing", "Bags",
        ("backpack|rucksack|daypack", "pack volume,sleeve,color", 25, 190),
        ("backpack rain cover|rain cover for backpacks > backpack", "pack volume,color", 7, 35)),
    *_aisle("Pets", "Dogs",
        ("dog bed|pet bed for dogs|dog cushion", "pet size,cover,color", 19, 140),
        ("dog crate|dog kennel|wire dog cage", "pet size,color", 35, 190),
        ("crate pad|crate mat|pad for dog crates > dog crate", "pet size,cover", 14, 60)),
)  # fmt: skip
"""Every type; those of one aisle are related."""


def spellings(product_type: ProductType, attribute: str, value: str) -> tuple[str, ...]:
    """All forms of a value; of a brand there is the name alone."""
    if attribute == "brand":
        return (value,)
    if attribute not in product_type.attributes:
        raise KeyError(f"{product_type.name} has no attribute {attribute!r}")
    return ATTRIBUTES[attribute][value]
