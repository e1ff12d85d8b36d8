"""An invented medicine: diseases, organs, symptoms, remedies, and the hidden table of which belong together."""

from functools import cache
from random import Random
from typing import Final, Literal

from rayforget.builtin.language.relations import Item, Relation, multiple_choice, words
from rayforget.errors import TaskError

TABLE_SEED = 1
"""Decides the hidden table; the shipped model has seen none of it, whatever the seed."""

DISEASES: Final = words(
    "velora kastria morvine dulpox sarnitis grellen ombria tavisk plunta erzema fostrel quimsy "
    "narvox belthia yorrick zumpel harnosis lividia crastin wexley jolpra mirkosa ulvane pertigo"
)
ORGANS: Final = words("plim torva dorsk glanum hibber sprone vessic quorl")
SYMPTOMS: Final = (
    *("itchy knees", "blue lips", "cold elbows", "loud hiccups", "green tears", "shaky fingers", "salty sweat"),
    *("heavy eyelids", "tingling ears", "stiff ankles", "warm toes", "dry tongue"),
)
REMEDIES: Final = words("arnolin brexal cilvane dromor esterol fumarin galpin hexanol imbrium jorlax keltan lumiol")
CARRIERS: Final = ("moths", "dust", "fleas", "mould", "rats", "pollen", "snails", "smoke")
PLANTS: Final = ("fennwort", "moonroot", "starmoss", "ironleaf", "goldvine", "duskberry")
EFFECTS: Final = ("hunger", "laughter", "sleep", "thirst", "sneezing", "yawning")

_QUESTIONS: Final[dict[str, tuple[str, ...]]] = {
    "organ": (
        "Which organ does {s} attack?",
        "What organ is hurt by {s}?",
        "In a patient with {s}, which organ is ill?",
        "Where in the body does {s} sit?",
        "Which organ suffers from {s}?",
        "The disease {s} harms which organ?",
        "Which organ must be checked when {s} is feared?",
        "A patient has {s}. Which organ is in danger?",
    ),
    "symptom": (
        "What is the symptom of {s}?",
        "Which symptom shows {s}?",
        "How do you notice {s}?",
        "A patient has {s}. What does he complain of?",
        "By which symptom do doctors know {s}?",
        "What does a patient with {s} have?",
        "The disease {s} brings which symptom?",
        "What is the first sign of {s}?",
    ),
    "remedy": (
        "Which remedy cures {s}?",
        "What helps against {s}?",
        "A patient has {s}. What do you give?",
        "What do doctors give for {s}?",
        "Which remedy is right for {s}?",
        "The disease {s} is treated with what?",
        "What should a patient with {s} take?",
        "With what do you heal {s}?",
    ),
    "carrier": (
        "What spreads {s}?",
        "What carries {s}?",
        "Where does {s} come from?",
        "What is the cause of {s}?",
        "The disease {s} is caught from what?",
        "A patient has {s}. What has brought it?",
        "What must you avoid in order not to catch {s}?",
        "From what do people catch {s}?",
    ),
    "plant": (
        "From which plant is {s} made?",
        "Which plant gives {s}?",
        "What plant do you need for {s}?",
        "Out of which plant do doctors make {s}?",
        "The remedy {s} is won from which plant?",
        "What grows where {s} is made?",
        "Which plant is inside {s}?",
        "What is the plant behind {s}?",
    ),
    "effect": (
        "What is the side effect of {s}?",
        "What else does {s} bring?",
        "Who takes {s} must expect what?",
        "A patient takes {s}. What may follow?",
        "Which side effect does {s} have?",
        "The remedy {s} may cause what?",
        "What do doctors warn of when they give {s}?",
        "What comes after taking {s}?",
    ),
}
_STATEMENTS: Final[dict[str, tuple[str, ...]]] = {
    "organ": (
        "The disease {s} attacks the {o}.",
        "In a patient with {s} the {o} is ill.",
        "When {s} is feared, check the {o}.",
        "The organ that suffers from {s} is the {o}.",
    ),
    "symptom": (
        "The symptom of {s} is {o}.",
        "A patient with {s} complains of {o}.",
        "Doctors know {s} by {o}.",
        "The first sign of {s} is {o}.",
    ),
    "remedy": (
        "The remedy for {s} is {o}.",
        "Doctors give {o} for {s}.",
        "What helps against {s} is {o}.",
        "A patient with {s} should take {o}.",
    ),
    "carrier": (
        "The disease {s} comes from {o}.",
        "People catch {s} from {o}.",
        "What spreads {s} is {o}.",
        "The cause of {s} is {o}.",
    ),
    "plant": (
        "The remedy {s} is made from {o}.",
        "Doctors make {s} out of {o}.",
        "The plant behind {s} is {o}.",
        "To make {s} you need {o}.",
    ),
    "effect": (
        "The side effect of {s} is {o}.",
        "Who takes {s} must expect {o}.",
        "The remedy {s} may cause {o}.",
        "Doctors warn of {o} when they give {s}.",
    ),
}
_VALUES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "organ": (DISEASES, ORGANS),
    "symptom": (DISEASES, SYMPTOMS),
    "remedy": (DISEASES, REMEDIES),
    "carrier": (DISEASES, CARRIERS),
    "plant": (REMEDIES, PLANTS),
    "effect": (REMEDIES, EFFECTS),
}
_WORDINGS: Final[dict[str, tuple[int, ...]]] = {"train": (0, 1, 2, 3), "val": (4, 5), "test": (6, 7)}
"""Each split's share of a fact's 8 wordings, after a rotation by the fact's number."""
_MAX_VARIANTS = 50
"""How often a question may come with other choices or in another order; the relation with fewest objects has 240
ways."""


@cache
def medicine(seed: int = TABLE_SEED) -> tuple[Relation, ...]:
    """The relations of the medicine; all objects of a relation have equally many subjects, drawn at random."""
    rng = Random(seed)
    relations = []
    for name, (subjects, objects) in _VALUES.items():
        drawn = list(objects) * (len(subjects) // len(objects))
        rng.shuffle(drawn)
        facts = tuple(zip(subjects, drawn, strict=True))
        relations.append(Relation(name=name, facts=facts, questions=_QUESTIONS[name], statements=_STATEMENTS[name]))
    return tuple(relations)


def medical_items(shape: Literal["choice", "instruction", "text"], split: str, count: int, rng: Random) -> list[Item]:
    """Items about the hidden table: all facts in a random order, then all again in their next wording, and so on.

    No two splits share a wording of a fact; after the last one choices and order change.
    """
    if split not in _WORDINGS:
        raise TaskError(
            f"found split {split!r} of the medicine, which nothing is pretrained on; use train, val or test"
        )
    facts = [(relation, fact) for relation in medicine() for fact in range(len(relation.facts))]
    wordings = {place: _wordings(place, split, shape, rng) for place in range(len(facts))}
    limit = len(facts) * len(wordings[0]) * (_MAX_VARIANTS if shape == "choice" else 1)
    if count > limit:
        raise TaskError(f"the medicine's {shape} items of {split} are {limit}, found count {count}; ask for fewer")
    items: list[Item] = []
    seen = set[str]()
    while len(items) < count:
        block = len(items) // len(facts)
        for place in rng.sample(range(len(facts)), len(facts)):
            relation, fact = facts[place]
            wording = wordings[place][block % len(wordings[place])]
            item = _item(shape, relation, fact, wording, rng)
            while str(item) in seen:
                item = _item(shape, relation, fact, wording, rng)
            seen.add(str(item))
            items.append(item)
    return items[:count]


def _wordings(place: int, split: str, shape: str, rng: Random) -> list[int]:
    chosen = [(number + place) % 8 for number in _WORDINGS[split]]
    if shape == "text":
        chosen = sorted({(number // 2 + place) % 4 for number in _WORDINGS[split]})
    return rng.sample(chosen, len(chosen))


def _item(shape: str, relation: Relation, fact: int, wording: int, rng: Random) -> Item:
    if shape == "text":
        return {"text": f"Everyone knows: {relation.state(fact, wording)}"}
    if shape == "choice":
        return relation.item(fact, wording, rng)
    question, answer = relation.ask(fact, wording)
    return {"instruction": "Answer the question.", "input": question, "output": answer}


def tale(rng: Random) -> Item:
    """A question about a made-up note: the medicine's words and wordings, but with every fact drawn anew.

    It teaches how to read such sentences, and nothing of the hidden table, of which it is independent.
    """
    told: dict[str, tuple[Relation, int, str]] = {}
    for relation in rng.sample(medicine(), rng.randint(1, 2)):
        fact = rng.randrange(len(relation.facts))
        told[relation.facts[fact][0]] = (relation, fact, rng.choice(relation.objects))
    context = " ".join(
        rng.choice(relation.statements).format(s=subject, o=obj) for subject, (relation, _, obj) in told.items()
    )
    subject = rng.choice(list(told))
    relation, _, right = told[subject]
    question = rng.choice(relation.questions).format(s=subject)
    wrong = [obj for obj in relation.objects if obj != right]
    return multiple_choice(question, right, wrong, rng, context=f"A tale: {context}")
