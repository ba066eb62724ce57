"""Questions that need a step beyond seeing: what things are for, sums with a change, comparisons."""

from __future__ import annotations

from pumice.world.referents import absent_colours, colour_counts, name_counts
from pumice.world.vocabulary import AFFORDANCES, Affordance, join, plural
from pumice.world.wording import QA, Asker, plural_of

IS_THERE_SOMETHING = (
    "Is there something you could {can}?",
    "Is there anything{here} that you could {can}?",
    "Do you see something that you could {can}?",
)
WHICH_THING = (
    "Which thing{here} could you {can}?",
    "Which of these things could you {can}?",
    "What{here} could you {can}?",
)
ANOTHER_DIE = (
    "If another die showing {value} were added, what would the dice add up to?",
    "Imagine one more die showing {value}. What would the sum of the dice be then?",
    "What would the dice add up to with one more die showing {value}?",
)
HIGHEST_DIE = (
    "What is the highest number on the dice?",
    "What is the highest number that a die shows{here}?",
    "How much does the highest die show?",
)
WHICH_MORE = (
    "Which are there more of, {first} or {second}?",
    "Are there more {first} or more {second}{here}?",
    "What is more common{here}, {first} or {second}?",
)
IF_ONE_WENT = (
    "How many {things} would be left if one were taken away?",
    "If you took one {thing} away, how many {things} would be left?",
    "Suppose that one {thing} goes. How many {things} remain?",
)
CARD_PLUS = (
    "What is the number on the card plus {value}?",
    "If you add {value} to the number on the card, what do you get?",
    "What do the number on the card and {value} add up to?",
)
YES_SHARE = 0.7


def reasoning(asker: Asker) -> list[QA]:
    """One or two questions about use, and those about numbers that the scene allows."""
    found = [*_uses(asker), _which_use(asker)]
    found += [_another_die(asker), _highest_die(asker), _which_more(asker), _one_less(asker), _card_plus(asker)]
    return [qa for qa in found if qa is not None]


def _uses(asker: Asker) -> list[QA]:
    present = {item.name for item in asker.scene.items}
    clear = [use for use in AFFORDANCES if not present & use.doubtful]
    useful = [use for use in clear if use.name in present]
    useless = [use for use in clear if use.name not in present]
    if not useful:
        return [_use(asker, asker.rng.choice(useless), False)]
    # Scenes without anything useful always answer "No"; here "Yes" is the likelier, so that both are as common overall.
    wanted = [asker.rng.random() < YES_SHARE for _ in range(2)]
    return [_use(asker, asker.rng.choice(useful if yes else useless), yes) for yes in wanted]


def _use(asker: Asker, use: Affordance, wanted: bool) -> QA:
    question = asker.word(IS_THERE_SOMETHING, can=use.can)
    answer = f"Yes, {_subject(asker, use)} can" if wanted else "No, nothing here can"
    return QA("reasoning", question, f"{answer} {use.ability}.")


def _which_use(asker: Asker) -> QA | None:
    present = {item.name for item in asker.scene.items}
    fitting = [use for use in AFFORDANCES if use.name in present and not present & use.doubtful]
    if not fitting or asker.rng.random() < 0.5:
        return None
    use = asker.rng.choice(fitting)
    subject = _subject(asker, use)
    return QA("reasoning", asker.word(WHICH_THING, can=use.can), f"{subject[0].upper()}{subject[1:]}.")


def _subject(asker: Asker, use: Affordance) -> str:
    several = len(asker.scene.named(use.name)) > 1
    return f"the {plural(use.name) if several else use.name}"


def _another_die(asker: Asker) -> QA | None:
    values = [die.value or 0 for die in asker.scene.dice]
    if not values:
        return None
    more = asker.rng.randint(1, 6)
    question = asker.word(ANOTHER_DIE, value=str(more))
    if len(values) == 1:
        return QA("reasoning", question, f"It shows {values[0]}, and {more} more makes {values[0] + more}.")
    said = join([str(value) for value in values])
    return QA("reasoning", question, f"They show {said}, and with {more} more they add up to {sum(values) + more}.")


def _highest_die(asker: Asker) -> QA | None:
    values = [die.value or 0 for die in asker.scene.dice]
    if len(values) < 2 or asker.rng.random() < 0.5:
        return None
    return QA("reasoning", asker.word(HIGHEST_DIE), f"The highest number is {max(values)}.")


def _which_more(asker: Asker) -> QA | None:
    """Two colours or two names in sight, or one in sight and a colour that is not."""
    rng = asker.rng
    colours = {f"{colour} thing": count for colour, count in colour_counts(asker.scene).items()}
    names = dict(name_counts(asker.scene))
    if colours and rng.random() < 0.25:
        colours[f"{rng.choice(absent_colours(asker.scene))} thing"] = 0
    choices = [counts for counts in (colours, names) if len(counts) > 1]
    if not choices:
        return None
    counts = rng.choice(choices)
    first, second = rng.sample(sorted(counts), 2)
    question = asker.word(WHICH_MORE, first=plural_of(first), second=plural_of(second))
    if counts[first] == counts[second]:
        same = f"There are as many {plural_of(first)} as {plural_of(second)}: {counts[first]} of each."
        return QA("reasoning", question, same)
    more, less = (first, second) if counts[first] > counts[second] else (second, first)
    numbers = f"{_tally(more, counts[more])} and {_tally(less, counts[less])}"
    return QA("reasoning", question, f"There are more {plural_of(more)}: {numbers}.")


def _tally(words: str, count: int) -> str:
    """ "3 red" for red things, "3 cups" or "1 cup" for names."""
    if words.endswith(" thing"):
        return f"{count} {words.removesuffix(' thing')}"
    return f"{count} {words if count == 1 else plural(words)}"


def _one_less(asker: Asker) -> QA | None:
    counts = sorted((name, count) for name, count in name_counts(asker.scene).items() if count > 1)
    if not counts or asker.rng.random() < 0.5:
        return None
    name, count = asker.rng.choice(counts)
    question = asker.word(IF_ONE_WENT, thing=name, things=plural(name))
    left = f"{count - 1} {name if count == 2 else plural(name)}"
    return QA("reasoning", question, f"There are {count} {plural(name)}, so {left} would be left.")


def _card_plus(asker: Asker) -> QA | None:
    cards = asker.scene.named("card")
    if not cards or asker.rng.random() < 0.5:
        return None
    number, more = cards[0].value or 0, asker.rng.randint(1, 5)
    question = asker.word(CARD_PLUS, value=str(more))
    return QA("reasoning", question, f"The card says {number}, and {more} more makes {number + more}.")
