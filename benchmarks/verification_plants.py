"""Wordings that verification was not developed with: of false sentences to plant, and of true ones as a control.

They follow what models (MiniGPT-4 and InstructBLIP above all) wrote about COCO's pictures in the published logs of OPERA
(shikiw/OPERA, log/chair_eval_results), and the questions of POPE and MME. They were chosen after all others had been
looked at, and before verification was tried on them.
"""

from __future__ import annotations

from verification_planting import Wordings

HELD_OUT = Wordings(
    existence_one=(
        "There is {a} next to it, and the background is a plain wall.",
        "This image shows a quiet corner with {a} in it.",
        "{A} is lying on the ground, next to a few other objects.",
        "A {name} also appears within view as part of the scene.",
        "You can also see {a} standing off to one side.",
        "{A} rests against part of the wall behind it.",
        "One {name} is located close to them.",
        "The {name} is parked next to a fence.",
        "The image is a landscape shot with the {name} as the main subject.",
        "This image shows a close-up view of {a}.",
        "Someone is holding {a} in the background.",
        "The ground is covered with leaves, and {a} stands on it.",
        "It also shows {a}, which appears well-groomed.",
        "The room appears to be equipped with {a}.",
        "There is {a} present as well, although it is not the main subject.",
        "{A} adds visual interest beside the other objects.",
    ),
    existence_many=(
        "There are several {things} throughout the scene: some closer to the camera than others.",
        "A few {things} also appear nearby.",
        "There are some {things} in the distance.",
        "This image shows a collection of {things}.",
        "Multiple {things} are visible throughout the scene.",
        "Two {things} can be seen placed near one another.",
    ),
    denial=(
        "There are no {things} in sight.",
        "There are no {things} or other objects of that kind in the image.",
        "I don't see a {name} in this picture.",
        "The picture has no {things} in it.",
    ),
    count=(
        "This image shows {n} {things}.",
        "There are {n} {things} present.",
        "There are {n} {things} here: one is in front, and the rest is further back.",
        "The photo has {n} {things} in it.",
        "In the picture, you can see {n} {things}.",
        "There are {n} {things} visible throughout this scene.",
        "{N} {things} can be seen in this image, all close together.",
        "The number of {things} shown is {n}.",
        "There are {n} {things} in this photo, and they are easy to spot.",
        "Exactly {n} {things} can be seen.",
        "I count {n} {things} in this picture.",
        "The picture contains a total of {n} {things}.",
    ),
    colour=(
        "The {name} in the picture is {colour} and shiny.",
        "This image shows a {colour} {name}.",
        "The {name} is a {colour} one.",
        "It is a {colour} {name}.",
        "There is a small {colour} {name} next to it.",
        "The {name}, painted {colour}, is in good condition.",
        "The {name} is clearly {colour} in color.",
        "The background contains a {colour} {name}.",
        "Close by is a {colour} {name} that stands out.",
        "The {name} is {colour} with a few scratches.",
    ),
    place=(
        "The {name} on the {side} side of the picture is easy to see.",
        "A {name} is visible towards the {side} side of the scene.",
        "The {name} stands near the {side} edge of the scene.",
        "One {name} is located near to the {side} side of the scene.",
        "The {name} sits in the {side} half of the photo.",
        "To the {side} side of the image, there is a {name}.",
        "The {name} appears on the {side} side of the frame.",
        "In the {side} part of the picture, you can see the {name}.",
        "The {name} is over on the {side} of the image.",
        "A {name} is found on the {side} side of the picture.",
    ),
    place_upright=(
        "The {name} is in the {side} half of the image.",
        "At the {side} of the picture, there is a {name}.",
        "The {name} appears towards the {side} of the photo.",
        "A {name} is shown near the {side} edge of the image.",
    ),
    relation=(
        "The {one} is {relation} the {other} in this image.",
        "There's a {one} {relation} the {other}.",
        "A {one} is {relation} the {other}.",
        "You can see a {one} {relation} the {other}.",
        "The {one} stands {relation} the {other}.",
        "{Relation} the {other} stands a {one}.",
    ),
    size=(
        "The {small} is smaller than the {large} in this picture.",
        "The {large} looks bigger than the {small}.",
        "In terms of size, the {large} is larger than the {small}.",
        "The {large} is visibly larger than the {small}.",
        "The {large} takes up more room in the picture than the {small}.",
        "The {small} appears much smaller than the {large}.",
    ),
    largest=(
        "The {name} is the largest thing in the picture.",
        "The {name} appears to be the largest object in the image.",
        "The biggest object in this picture is the {name}.",
    ),
    ask_existence=(
        "Is there {a} in the photo?",
        "Does this image contain {a}?",
        "Do you see {a} in the image?",
        "Are there {things} in this image?",
        "Is {a} shown in this picture?",
        "Is there {a} in this scene? Please answer yes or no.",
    ),
    ask_count=(
        "Are there {n} {things} in this image?",
        "Is it correct that there are {n} {things}?",
        "Can you see {n} {things} in the picture?",
    ),
    ask_place=(
        "Is the {name} on the {side} side of this picture?",
        "Is the {name} in the {side} half of the image?",
        "Does the {name} appear on the {side} side of the image?",
    ),
    ask_relation=(
        "Is the {one} {relation} the {other}? Please answer yes or no.",
        "Is the {one} {relation} the {other} in this picture?",
    ),
    yes=("Yes", "Yes.", "Yes, there are.", "Yes, the picture shows it.", "Yes, you can see it.", "Correct."),
    no=(
        "No",
        "No.",
        "No, there are not.",
        "No, that's not right.",
        "No, I cannot see it.",
        "No, it doesn't show that.",
    ),
)
