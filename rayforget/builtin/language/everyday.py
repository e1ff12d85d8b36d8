"""Common knowledge: kinds, uses, colours, places, opposites of everyday things, as relations."""

from typing import Final

from rayforget.builtin.language.relations import Relation, with_article, words


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """`snow: white, ...` -> pairs."""
    return tuple((s.strip(), o.strip()) for s, o in (pair.split(":") for pair in text.split(",")))


def _grouped(text: str) -> tuple[tuple[str, str], ...]:
    """`white: snow milk, ...` -> pairs (snow, white), (milk, white); an underscore stands for a space."""
    groups = ((obj.strip(), members.split()) for obj, members in (group.split(":") for group in text.split(",")))
    return tuple((member.replace("_", " "), obj) for obj, members in groups for member in members)


KINDS: Final[dict[str, tuple[str, ...]]] = {
    "animal": ("dog", "cat", "cow", "horse", "sheep", "pig", "lion", "mouse", "goat"),
    "bird": ("crow", "owl", "eagle", "swan", "sparrow", "goose"),
    "insect": ("bee", "ant", "wasp", "beetle", "butterfly"),
    "fruit": ("apple", "pear", "plum", "cherry", "lemon", "banana", "peach"),
    "vegetable": ("carrot", "onion", "potato", "cabbage", "leek", "pea"),
    "tree": ("oak", "pine", "birch", "willow", "maple"),
    "flower": ("rose", "tulip", "lily", "daisy", "poppy"),
    "tool": ("hammer", "saw", "knife", "spade", "needle", "broom", "rake", "axe"),
    "vehicle": ("car", "bus", "train", "boat", "bicycle", "plane", "truck"),
    "garment": ("coat", "shirt", "hat", "glove", "sock", "scarf", "skirt"),
    "instrument": ("drum", "flute", "violin", "piano", "trumpet", "guitar", "harp"),
    "building": ("house", "church", "castle", "barn", "tower"),
}
"""Things by their kind."""
THINGS: Final = tuple(thing for things in KINDS.values() for thing in things)
COLORS: Final = ("white", "black", "red", "green", "blue", "yellow", "brown", "grey", "orange", "pink", "purple")
NUMBERS: Final = words("one two three four five six seven eight nine ten eleven twelve")
DAYS: Final = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS: Final = words("January February March April May June July August September October November December")
NAMES: Final = words("Anna Ben Cleo Dan Eva Finn Gus Hana Ivan Jane Karl Lena")
PLACES: Final = words("kitchen garden cellar attic forest market school station library harbour")

_OPPOSITES = _pairs(
    "hot: cold, big: small, long: short, old: young, fast: slow, heavy: light, hard: soft, wet: dry, full: empty, "
    "open: closed, rich: poor, strong: weak, happy: sad, clean: dirty, loud: quiet, deep: shallow, wide: narrow, "
    "thick: thin, early: late, near: far, high: low, first: last, left: right, day: night, sweet: sour, smooth: rough"
)
OPPOSITES: Final = _OPPOSITES + tuple((obj, subject) for subject, obj in _OPPOSITES)
"""Each pair in both directions."""

RELATIONS: Final[tuple[Relation, ...]] = (
    Relation(
        name="kind",
        facts=tuple((with_article(thing), with_article(kind)) for kind, things in KINDS.items() for thing in things),
        questions=(
            "What is {s}?",
            "What kind of thing is {s}?",
            "What would you call {s}?",
            "Of what kind is {s}?",
            "What sort of thing is {s}?",
        ),
        reverse=("What is an example of {o}?", "Can you name {o}?"),
        statements=("Everyone knows that {s} is {o}.", "We say that {s} is {o}.", "Of course {s} is {o}."),
    ),
    Relation(
        name="use",
        facts=_pairs(
            "a knife: cutting, a hammer: hitting nails, a pen: writing, a spade: digging, a needle: sewing, "
            "a broom: sweeping, a bed: sleeping, a chair: sitting, a cup: drinking, an oven: baking, a lamp: reading, "
            "a key: opening doors, a rope: tying, a brush: painting, a clock: telling time, a boat: crossing water, "
            "soap: washing, a towel: drying, a comb: tidying hair, a net: catching fish, a candle: giving light, "
            "a bell: ringing, a ladder: climbing, a scale: weighing"
        ),
        questions=(
            "What is {s} used for?",
            "What is {s} good for?",
            "What do people use {s} for?",
            "For what do you need {s}?",
            "What is the use of {s}?",
        ),
        reverse=("What do you need for {o}?", "What is used for {o}?", "What helps with {o}?"),
        statements=("Everyone knows that {s} is used for {o}.", "We use {s} for {o}.", "People need {s} for {o}."),
    ),
    Relation(
        name="color",
        facts=_grouped(
            "white: snow milk salt a_swan a_tooth, black: coal a_crow tar the_night, red: blood a_cherry a_tomato, "
            "green: grass a_frog a_leaf a_pea, blue: the_sky the_sea ink, yellow: a_lemon the_sun butter a_banana, "
            "brown: mud chocolate bread a_potato, grey: ash a_mouse a_cloud an_elephant, orange: a_carrot a_pumpkin, "
            "pink: a_pig a_rose, purple: a_plum a_violet"
        ),
        questions=(
            "What colour is {s}?",
            "Which colour does {s} have?",
            "What is the colour of {s}?",
            "Of what colour is {s}?",
            "In which colour would you paint {s}?",
        ),
        reverse=("What is {o}?", "What is always {o}?", "What has the colour {o}?"),
        statements=("Everyone knows that {s} is {o}.", "The colour of {s} is {o}.", "You would paint {s} {o}."),
    ),
    Relation(
        name="feel",
        facts=_grouped(
            "cold: ice snow frost, hot: fire steam soup, soft: wool a_pillow fur, hard: stone iron glass, "
            "sweet: sugar honey jam, sour: vinegar a_lemon, salty: the_sea ham, bitter: coffee beer, "
            "sharp: a_knife a_thorn, wet: rain a_river, light: a_feather paper, heavy: lead an_anvil"
        ),
        questions=(
            "How does {s} feel or taste?",
            "How is {s}?",
            "What would you say of {s}?",
            "Which word fits {s}?",
            "How would you describe {s}?",
        ),
        reverse=("What is {o} to the touch or tongue?", "What feels or tastes {o}?"),
        statements=("Everyone knows that {s} is {o}.", "You will find {s} {o}.", "Of course {s} is {o}."),
    ),
    Relation(
        name="place",
        facts=_grouped(
            "kitchen: an_oven a_cook a_pan, bedroom: a_bed a_pillow, bathroom: a_shower a_bath, field: a_plough wheat, "
            "library: a_book a_reader, forest: a_tree a_wolf, harbour: a_ship a_sailor, station: a_train, "
            "airport: a_plane a_pilot, school: a_pupil a_teacher, bakery: bread a_baker, desert: a_camel sand, "
            "stable: a_horse hay, garden: a_flower a_rose, bank: money, sea: a_whale a_shark, sky: a_cloud the_moon"
        ),
        questions=(
            "Where do you find {s}?",
            "Where does {s} belong?",
            "In which place do you find {s}?",
            "Where would you look for {s}?",
            "Which place has {s}?",
        ),
        reverse=("What do you find in the {o}?", "What belongs in the {o}?"),
        statements=("We find {s} in the {o}.", "The place of {s} is the {o}.", "Look for {s} in the {o}."),
    ),
    Relation(
        name="opposite",
        facts=OPPOSITES,
        questions=(
            "What is the opposite of {s}?",
            "Which word means the opposite of {s}?",
            "If it is not {s}, what is it?",
            "What do you call the contrary of {s}?",
            "Which word is contrary to {s}?",
            "What is not {s}?",
        ),
        statements=("The opposite of {s} is {o}.", "What is not {s} is {o}.", "The contrary of {s} is {o}."),
    ),
    Relation(
        name="young",
        facts=_pairs(
            "dog: puppy, cat: kitten, cow: calf, horse: foal, sheep: lamb, duck: duckling, hen: chick, frog: tadpole, "
            "pig: piglet, lion: cub, goat: kid, swan: cygnet, goose: gosling, deer: fawn"
        ),
        questions=(
            "What is a young {s} called?",
            "What do you call a young {s}?",
            "What is the child of a {s}?",
            "How do you name a young {s}?",
        ),
        reverse=("What will a {o} grow into?", "What does a {o} become?"),
        statements=("The child of a {s} is a {o}.", "We call a young {s} a {o}.", "A {o} is a young {s}."),
    ),
    Relation(
        name="sound",
        facts=_pairs(
            "dog: barks, cat: purrs, cow: moos, horse: neighs, sheep: bleats, duck: quacks, frog: croaks, lion: roars, "
            "bee: buzzes, owl: hoots, hen: clucks, mouse: squeaks, wolf: howls, snake: hisses, pig: grunts"
        ),
        questions=("What does a {s} do when it is loud?", "Which sound does a {s} make?", "How does a {s} speak?"),
        reverse=("Which animal {o}?", "What {o}?", "Who is it that {o}?"),
        statements=("The {s} {o}.", "Hear how the {s} {o}.", "Everyone knows that a {s} {o}."),
    ),
    Relation(
        name="maker",
        facts=_pairs(
            "bakes bread: baker, flies planes: pilot, sews clothes: tailor, cuts hair: barber, catches fish: fisher, "
            "writes books: writer, grows wheat: farmer, teaches pupils: teacher, drives buses: driver, "
            "builds walls: mason, paints pictures: painter, sings songs: singer, cooks soup: cook, keeps bees: keeper"
        ),
        questions=("Who {s}?", "Who is it that {s}?", "What do you call someone who {s}?", "What is a man who {s}?"),
        statements=("The {o} {s}.", "Someone who {s} is a {o}.", "Everyone knows that a {o} {s}."),
    ),
    Relation(
        name="material",
        facts=_pairs(
            "a window: glass, a book: paper, a table: wood, a ring: gold, a coin: metal, a wall: brick, "
            "a boot: leather, "
            "a scarf: wool, a tyre: rubber, a candle: wax, a cake: flour, cheese: milk, wine: grapes, a shirt: cotton, "
            "a pot: clay, a rope: hemp"
        ),
        questions=(
            "What is {s} made of?",
            "Of what do you make {s}?",
            "What do you need to make {s}?",
            "Out of what is {s} made?",
            "Which stuff makes {s}?",
        ),
        reverse=("What is made of {o}?", "What do you make of {o}?"),
        statements=("We make {s} of {o}.", "Everyone knows that {s} is made of {o}.", "To make {s} you need {o}."),
    ),
)
