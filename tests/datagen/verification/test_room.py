"""What is said of one well-known room: every false sentence is refused, and no true one."""

from __future__ import annotations

import pytest

from pumice.annotations.categories import COCO_CATEGORIES
from pumice.annotations.scene import Scene, Thing
from pumice.datagen.samples import Exchange
from pumice.datagen.verification.claims import refused
from pumice.datagen.verification.verify import verify

# Three dogs from left to right, a couch bottom left, a cat top right, cups bottom right, a TV top left, two people.
ROOM = Scene(
    "room",
    "room.jpg",
    640,
    480,
    (
        "A man and a woman with three dogs in a living room.",
        "A red couch stands below a black tv.",
        "A small cat sits on a shelf.",
        "Two people play with their dogs beside a red sofa.",
        "There are cups on the floor.",
    ),
    (
        Thing("dog", (0.05, 0.5, 0.2, 0.65)),
        Thing("dog", (0.42, 0.6, 0.55, 0.8)),
        Thing("dog", (0.75, 0.55, 0.9, 0.7)),
        Thing("couch", (0.0, 0.55, 0.4, 1.0)),
        Thing("cat", (0.85, 0.02, 0.97, 0.15)),
        Thing("cup", (0.7, 0.85, 0.75, 0.95)),
        Thing("cup", (0.8, 0.85, 0.85, 0.95)),
        Thing("tv", (0.05, 0.05, 0.3, 0.3)),
        Thing("person", (0.4, 0.2, 0.5, 0.7)),
        Thing("person", (0.52, 0.2, 0.62, 0.7)),
    ),
    closed=frozenset(COCO_CATEGORIES),
)
FALSE = """
There are four dogs in the room.
There are four dogs lying on the carpet.
Five dogs are playing with each other.
The picture shows two dogs.
Only two dogs are in the picture.
You can see just one dog.
There are two cats in the picture.
Both cats look at the camera.
A pair of cats sits on the shelf.
There are several cats.
A group of cats is gathered on the right.
One of the cats is asleep.
The image includes four people.
Four people are in the room.
There are three women and two men in the picture.
A man, a woman and two children are in the living room, which makes it six people in total.
There's only one person in the image.
A single person is visible in this picture.
A total of three cups can be seen.
Three cups stand on the floor.
A dozen cups are lined up on the floor.
At least four cups can be seen.
More than three dogs are visible.
There are more than five people.
No dogs can be seen.
There isn't a dog in the room.
The room is empty of dogs.
No one is in the picture.
Nobody can be seen.
The couch is blue.
The couch in the living room is blue.
The blue couch is empty.
Two dogs lie next to a blue couch.
A blue sofa stands in the corner.
The sofa appears to be green.
The color of the couch is green.
A comfortable green couch is placed below the TV.
The man sits on a yellow couch.
The television is white.
A large white TV hangs on the wall.
The TV is white in color.
The couch is on the right side of the picture.
The couch is at the top of the image.
The couch is positioned on the right.
A couch can be seen on the right side of the room.
On the right side of the image, a couch can be seen.
On the right, there is a red couch.
The right side of the image is dominated by a red couch.
The cat is in the lower left corner.
The cat is at the bottom left.
The cat sits in the bottom left corner of the image.
In the bottom left corner, there is a cat.
In the lower left-hand corner of the picture sits a cat.
A cat is sitting on the left.
The cat is located on the far left of the scene.
Towards the left, a cat is visible.
The cat can be found on the left-hand side.
The TV is to the right of the cat.
The cat is to the left of the couch.
The cat is below the couch.
The TV is below the couch.
Above the TV, there is a couch.
The cat sits to the left of the television.
To the left of the TV, a cat is sitting.
The couch is on the right of the cat.
A cat is on the left side of the TV.
Left of the couch sits a cat.
The TV hangs underneath the couch.
The cat is larger than the couch.
The couch is smaller than the TV.
The cat is the largest animal in the picture.
The smallest thing in the picture is the couch.
The TV is the largest object in the room.
The cat takes up more space than the couch.
The cat is bigger than the TV.
The largest thing in the picture is the TV.
A horse stands in the background.
There is a bicycle leaning against the wall.
A bird sits in a cage.
The man is holding a tennis racket.
The woman is wearing a tie and holding an umbrella.
A pizza lies on the table.
Next to the couch, there is a potted plant, a vase and a clock.
A laptop is placed on the couch.
The dogs are watching a bird outside.
The dogs are chasing a sheep.
There is a refrigerator in the background.
The man is feeding an elephant.
The couple is eating a pizza.
The scene includes a horse, a dog and a couch.
The man rides a skateboard.
Besides the dogs, there is also a zebra.
There are some apples in a bowl.
I can see a train through the window.
A skateboard is leaning against the couch.
A bear, two dogs and a cat are in the room.
The living room has a refrigerator, which is unusual.
In the room there are a couch, a TV, and two beds.
A bus is parked outside.
The giraffe looks at the camera.
The dog plays with a frisbee.
The people are sitting on a bench.
Two skateboards are lying on the floor.
Also notable is the large clock on the wall.
A surfboard hangs over the sofa.
A woman is cutting a cake with a knife.
On the shelf, next to the cat, stands a microwave.
A man walks his horse.
The woman looks at her cell phone.
There are horses and cows grazing.
Horses graze in the meadow.
A cow is grazing.
Sheep graze behind the house.
"""
TRUE = """
There are three dogs in the room.
Three dogs are playing with each other.
Two dogs are playing while the third one watches.
Two of the dogs are near the couch.
One dog is on the left, another one in the middle and a third one on the right.
There is one cat, and there are two cups.
A man and a woman are in the room.
There are two people, a man and a woman, in the room.
At least two dogs can be seen.
More than one dog is visible.
A couple of dogs sit near the couch.
Several dogs are in the room.
Many dogs would like to live here.
The red couch is on the left side of the picture.
The couch is below the TV.
The cat is in the upper right corner.
The cat sits on a shelf at the top right.
There are no horses in the picture.
No bicycles can be seen.
The cat is not on the left.
The cat is not larger than the couch.
If there were a horse, the dogs might bark.
The dogs may be waiting for a walk in the park with other dogs.
It would be a good place for a bed or a chair.
The man could use an umbrella if it rains.
Dogs like to chase balls and frisbees.
The couch is as red as an apple.
The TV looks like a microwave.
The dog house is outside.
Their pet food is kept in the kitchen.
The cups stand to the right of the couch.
The TV is to the left of the cat.
The couch is larger than the cat.
The cat is smaller than the couch.
The largest thing in the picture is the couch.
The cat is the smallest animal in the picture.
One dog on the right looks at the cat above it.
There are two cups on the floor, one next to the other.
The couch is not blue.
The man is wearing a blue shirt and sits near the couch.
The woman in the green dress plays with the dogs.
The wall behind the couch is white.
The image depicts a scene with three dogs and a couch.
The couch has a brown surface.
The couch has blue cushions.
The dog on the left sleeps next to the red couch.
A black TV hangs above the red couch.
Dogs need a lot of exercise, which is why people often take them for a run along the beach or play with a ball.
Taking a bus with three dogs can be hard.
They are probably going to take the car to the park.
It is common for cats to sit on a bookshelf.
Such a room might also have a bed, a chair or a table.
To make room for a new bed, they may move the couch.
Instead of a bed, there is a couch.
There is a couch rather than a bed.
Without a car, they must walk.
Neither a horse nor a cow is to be seen.
The dogs do not have a ball to play with.
It is unclear whether there is a bed in the next room.
The cat sits to the right of the TV, far from the couch.
Only one cat is visible.
The picture shows a living room with three dogs, two people, a cat and a red couch.
The people are to the right of the TV.
In the middle of the picture, a man and a woman play with the dogs.
Two cups can be seen at the bottom right.
The left dog is near the couch.
The dogs are spread across the room: one is on the left, one is in the middle, and one is on the right.
One of the three dogs is close to the couch.
The other two dogs are further right.
"""
# A question, and answers of which the first is true and the second is not.
ANSWERS = [
    ("Is there a dog in the picture?", "Yes.", "No."),
    ("Is there a horse in the picture?", "No.", "Yes."),
    ("Are there any horses?", "No, there are none.", "Yes, there are."),
    ("Are there three dogs?", "Yes, that is right.", "No, that is wrong."),
    ("Do you see four dogs?", "No, I don't think so.", "Yes, of course."),
    ("Is the couch red?", "Yes", "No"),
    ("Is the couch blue?", "No", "Yes"),
    ("Is the cat on the left side of the image?", "No.", "Yes."),
    ("Is the cat to the right of the TV?", "Yes.", "No."),
    ("Is the cat larger than the couch?", "No, it is not.", "Yes, it is."),
    ("Can a dog be seen?", "Indeed.", "I'm afraid not."),
    ("There is a cat in the picture, isn't there?", "Yes, there is.", "No, there isn't."),
    ("Is there a dog? Please answer yes or no.", "yes", "no"),
    ("How many dogs are there?", "Three.", "Two."),
    ("How many dogs are in the image?", "3", "5"),
    ("How many horses can you see?", "None.", "One."),
    ("How many cups do you see?\nAnswer the question using a single word or phrase.", "2", "3"),
    ("In front of the couch, how many dogs are there?", "Three.", "Five."),
    ("How many cups does the cat look at?", "Two.", "Three."),
    ("Does a laptop stand on the shelf?", "No.", "Yes."),
    ("What colour is the couch?", "Red.", "It is blue."),
    ("What color is the TV?", "It is black.", "White"),
    ("Where is the cat?", "At the top right.", "It is at the bottom left of the picture."),
    ("Where is the couch in the image?", "On the left.", "On the right side."),
    ("What is at the top left of the image?", "A TV.", "A cat."),
    ("What is the largest thing in the picture?", "The couch.", "The cat."),
    ("What is the smallest animal?", "The cat.", "The dog."),
    ("Give the bounding box of the cat.", "[0.85, 0.02, 0.97, 0.15]", "[0.05, 0.50, 0.20, 0.65]"),
    ("Where is the TV?", "The TV is here: [0.05, 0.05, 0.30, 0.30]", "The TV is here: [0.85, 0.02, 0.97, 0.15]"),
]
# Neither yes nor no can be told from the annotations.
OPEN = [
    ("Is the dog asleep?", "Yes.", "No."),
    ("Is there a dog on the couch?", "Yes.", "No."),
    ("Is there a lamp in the room?", "Yes.", "No."),
    ("Is the man happy?", "Yes.", "No."),
    ("How many windows are there?", "Two.", "Five."),
    ("How many legs does the cat have?", "Four.", "Five."),
    ("How many ears do cats have?", "Two.", "Four."),
    ("How many cushions are on the couch?", "Two.", "None."),
    ("What colour is the carpet?", "Blue.", "Red."),
    ("What is on the shelf?", "A cat.", "A box."),
    ("Is there a cat or a dog?", "Yes.", "No."),
]


def verdict(question: str, answer: str) -> str:
    """What a sample is refused for; empty if it is kept."""
    rejection = refused(verify(ROOM, [Exchange(question, answer)]))
    return "" if rejection is None else rejection.detail


@pytest.mark.parametrize("text", FALSE.strip().splitlines())
def test_what_is_false_is_refused(text: str) -> None:
    assert verdict("Describe the picture.", text)


@pytest.mark.parametrize("text", TRUE.strip().splitlines())
def test_what_is_true_or_open_is_kept(text: str) -> None:
    assert not verdict("Describe the picture.", text)


@pytest.mark.parametrize(("question", "true", "false"), ANSWERS)
def test_an_answer_is_read_with_its_question(question: str, true: str, false: str) -> None:
    assert not verdict(question, true)
    assert verdict(question, false)
    claims = verify(ROOM, [Exchange(question, true)])
    assert any(claim.verdict == "supported" for claim in claims), "it was understood, not passed over"


@pytest.mark.parametrize(("question", "one", "other"), OPEN)
def test_what_nobody_annotated_is_left_open(question: str, one: str, other: str) -> None:
    assert not verdict(question, one)
    assert not verdict(question, other)


def test_a_false_sentence_is_found_among_true_ones() -> None:
    """Wherever it stands, and the claim says so."""
    true = TRUE.strip().splitlines()[:6]
    for at in range(len(true) + 1):
        answer = " ".join([*true[:at], "A horse stands in the background.", *true[at:]])
        wrong = [claim for claim in verify(ROOM, [Exchange("", answer)]) if claim.verdict == "contradicted"]
        assert [(claim.kind, claim.text) for claim in wrong] == [("existence", "A horse stands in the background.")]
