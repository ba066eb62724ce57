"""Wordings that verification was not developed with: of false sentences to plant, and of true ones as a control.

They are in the manner of what models write about pictures, and of the questions of POPE, MME and VQA. They were written
after all others had been looked at, and before verification was tried on them; nothing was changed after that.
"""

from __future__ import annotations

from verification_planting import Wordings

HELD_OUT = Wordings(
    existence_one=(
        "The image includes {a}, too.",
        "Over in the corner, {a} can be made out.",
        "{A} is featured in the foreground of the image.",
        "There's {a} not far from there, half hidden.",
        "The image is composed of a plain background, some grass, and {a}.",
        "Meanwhile, {a} is resting in the shade.",
        "What appears next to it is {a}.",
        "It is a picture of {a} and other things.",
        "The {name} has a worn look.",
        "A person who looks closely will also discover {a}.",
        "All of this is arranged around {a}.",
        "In the middle of it all, {a} draws attention to itself.",
        "The image captures {a} in a natural pose.",
        "An additional element of the scene is {a}.",
        "Both the surroundings and {a} are well lit.",
        "The photo was taken from a low angle, with {a} in focus.",
    ),
    existence_many=(
        "There are quite a few {things} in the scene.",
        "The image is full of {things}.",
        "Various {things} can be observed in the background.",
        "The scene contains some {things} as well.",
        "A handful of {things} can be spotted.",
        "Next to each other, several {things} are arranged neatly.",
    ),
    denial=(
        "There is no {name} to be seen in the image.",
        "The scene contains no {things}.",
        "I can't see any {things} in the picture.",
        "There are no {things} present in the image.",
    ),
    count=(
        "In this image, one can see {n} {things}.",
        "There are {n} {things} depicted in the picture.",
        "The scene features exactly {n} {things}.",
        "Looking closely, there are {n} {things} in this picture.",
        "There are {n} {things} to be seen in the image.",
        "The picture includes {n} {things}.",
        "As far as I can tell, the image shows {n} {things}.",
        "{N} {things} are present in the image.",
        "The image displays {n} {things} in total.",
        "The number of {things} visible in the image is {n}.",
        "I see {n} {things} in this photo.",
        "In total, the scene contains {n} {things}.",
    ),
    colour=(
        "The {name} shown in the picture is {colour}.",
        "There's a {colour} {name} in this image.",
        "The {name} stands out because it is {colour}.",
        "A {colour} {name} is the center of attention.",
        "The picture shows a large, {colour} {name}.",
        "The {name} has a bright {colour} color.",
        "The {name} is entirely {colour}.",
        "One can spot the {colour} {name} easily.",
        "The {name}'s color is {colour}.",
        "The photo features a {name}, which is {colour} in color.",
    ),
    place=(
        "The {name} is situated on the {side}-hand side of the image.",
        "The {name} can be seen in the {side} part of the picture.",
        "On the {side} part of the scene, there is a {name}.",
        "The {name} rests on the {side} side of the picture.",
        "The {name} is visible in the {side} half of the scene.",
        "In the image, the {name} is on the {side} side.",
        "The image shows a {name} on the {side} side.",
        "You can find the {name} on the {side} of the picture.",
        "The {name} is closest to the {side} side of the image.",
        "At the {side} side of the picture, a {name} is visible.",
    ),
    place_upright=(
        "The {name} is placed at the {side} of the image.",
        "The {name} can be seen close to the {side} edge of the picture.",
        "There is a {name} at the {side} of the picture.",
        "The image shows a {name} in the {side} half.",
    ),
    relation=(
        "The {one} appears {relation} the {other}.",
        "The image shows a {one} {relation} the {other}.",
        "The {one} is situated {relation} the {other}.",
        "The {one} is visible {relation} the {other}.",
        "There is the {one} {relation} the {other}.",
        "{Relation} the {other}, you can see the {one}.",
    ),
    size=(
        "The {large} is clearly larger than the {small}.",
        "The {small} is smaller in size than the {large}.",
        "The {large} is the bigger one, compared to the {small}.",
        "In the photo, the {small} looks smaller than the {large}.",
        "The {large} is far bigger than the {small}.",
        "The {small} takes up less space than the {large}.",
    ),
    largest=(
        "The {name} is clearly the largest object in the image.",
        "The largest object is the {name}.",
        "The {name} is the largest item in the scene.",
    ),
    ask_existence=(
        "Is there {a} in the scene?",
        "Are {things} present in the image?",
        "Can you see any {things} in this picture?",
        "Does the scene contain {a}?",
        "Is {a} present?",
        "Are there any {things}?",
    ),
    ask_count=(
        "Are there a total of {n} {things} in the image?",
        "Does the picture show {n} {things}?",
        "Are {n} {things} visible in the image?",
    ),
    ask_place=(
        "Is the {name} near the {side} edge of the image?",
        "Is the {name} to be seen on the {side} side of the picture?",
        "Is the {name} positioned on the {side} side?",
    ),
    ask_relation=(
        "Is the {one} positioned {relation} the {other}?",
        "Is it correct that the {one} is {relation} the {other}?",
    ),
    yes=("Yes", "Yes.", "Yes, it does.", "Yes, there are some.", "Yes, correct.", "Yes, clearly."),
    no=("No", "No.", "No, it doesn't.", "No, there aren't any.", "No, incorrect.", "No, clearly not."),
)
