"""Wordings that verification was not developed with: of false sentences to plant, and of true ones as a control.

They are in the manner of what models write about pictures, and of the questions of POPE, MME and VQA. They were written
after all others had been looked at, and before verification was tried on them; nothing was changed after that.
"""

from __future__ import annotations

from verification_planting import Wordings

HELD_OUT = Wordings(
    existence_one=(
        "To one side, there is {a}.",
        "{A} is parked close by.",
        "The image captures the moment when {a} comes into view.",
        "There is something else: {a}.",
        "The atmosphere is shaped by {a} in the distance.",
        "Alongside it, {a} can be observed.",
        "A rather old {name} is part of the arrangement.",
        "The scene is rounded off by {a} near the window.",
        "Right in front of the camera, there is {a}.",
        "The person who took the photo must have noticed {a}, which is plainly visible.",
        "{A} is placed in such a way that it faces the viewer.",
        "Far in the back, I can see {a}.",
        "In the shade, {a} is enjoying the calm.",
        "Not to forget {a}, which stands on its own.",
        "The {name} nearby looks out of place.",
        "The image presents {a} in a rural setting.",
    ),
    existence_many=(
        "Several {things} are present in the image.",
        "There are lots of {things} around.",
        "Around it, there are various {things}.",
        "The background shows a few {things}.",
        "Dozens of {things} can be seen.",
        "The image captures some {things} as well.",
    ),
    denial=(
        "There's no {name} in this photo.",
        "The picture doesn't contain any {things}.",
        "No {things} appear in the image.",
        "One cannot see any {things} in the scene.",
    ),
    count=(
        "There are {n} {things} on display in the image.",
        "The image includes a total of {n} {things}.",
        "{N} {things} are visible.",
        "One can see {n} {things} in the photo.",
        "There are {n} {things}, each with its own character.",
        "The scene presents {n} {things}.",
        "In this scene, we can see {n} {things}.",
        "There are precisely {n} {things} in the image.",
        "There are {n} {things} in view.",
        "The photograph shows {n} {things}, no more and no less.",
        "I can count {n} {things} in the picture.",
        "The image has {n} {things}.",
    ),
    colour=(
        "The {name} is of {colour} color.",
        "There is one {colour} {name} in the image.",
        "The image shows the {colour} {name} clearly.",
        "The {name} is completely {colour}.",
        "A {colour} {name} is shown in the image.",
        "The {name} is visibly {colour}.",
        "In the image, the {name} is {colour}.",
        "The {name}, in {colour}, catches the eye.",
        "One of the things in the image is a {colour} {name}.",
        "The main color of the {name} is {colour}.",
    ),
    place=(
        "The {name} is on the {side} of the photo.",
        "The {name} is positioned to the {side} of the frame.",
        "There is a {name} in the {side} part of the image.",
        "On the {side} half of the image, you can see a {name}.",
        "The {name} is located on the far {side} side of the picture.",
        "We see a {name} on the {side} side of the image.",
        "The {name} is visible at the {side} of the scene.",
        "The {side} part of the image shows a {name}.",
        "Near the {side} edge of the image, a {name} can be seen.",
        "The {name} lies on the {side} side of the scene.",
    ),
    place_upright=(
        "The {name} is seen at the {side} of the picture.",
        "In the {side} half of the picture, there is a {name}.",
        "The {name} is close to the {side} of the image.",
        "The {name} is positioned in the {side} part of the frame.",
    ),
    relation=(
        "The {one} is clearly {relation} the {other}.",
        "The {one} is shown {relation} the {other}.",
        "A {one} is located {relation} the {other}.",
        "{Relation} the {other} is a {one}.",
        "The image features a {one} {relation} the {other}.",
        "It can be seen that the {one} is {relation} the {other}.",
    ),
    size=(
        "The {large} is larger compared to the {small}.",
        "The {small} is smaller in comparison to the {large}.",
        "The {large} is noticeably larger than the {small}.",
        "The {large} is shown larger than the {small}.",
        "The {small} is a bit smaller than the {large}.",
        "The {large} takes up a larger part of the image than the {small}.",
    ),
    largest=(
        "The {name} is the largest of all objects in the image.",
        "The largest object shown is the {name}.",
        "Clearly, the {name} is the largest thing here.",
    ),
    ask_existence=(
        "Is there {a} visible?",
        "Does the photo show {a}?",
        "Are there any {things} to be seen in the image?",
        "Is {a} present in this image?",
        "Do you see {a} in the scene?",
        "Is there any {name} in this image?",
    ),
    ask_count=(
        "Are there {n} {things} to be seen in the picture?",
        "Does the image contain {n} {things}?",
        "Are there {n} {things} present in the scene?",
    ),
    ask_place=(
        "Is the {name} at the {side} of the image?",
        "Is the {name} on the {side} half of the picture?",
        "Can you see the {name} on the {side} side of the image?",
    ),
    ask_relation=(
        "Is the {one} situated {relation} the {other}?",
        "Do you agree that the {one} is {relation} the {other}?",
    ),
    yes=("Yes", "Yes.", "Yes, I can see it.", "Yes, there is.", "Yes, exactly.", "Yes, I do."),
    no=("No", "No.", "No, I can't see it.", "No, there isn't.", "No, not really.", "No, I don't."),
)
