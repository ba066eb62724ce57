"""Wordings that verification was not developed with: of false sentences to plant, and of true ones as a control.

They follow what four models (LLaVA-1.5, InstructBLIP, MiniGPT-4, Shikra) wrote about COCO's pictures in the published
logs of OPERA (shikiw/OPERA, log/chair_eval_results), and the questions of POPE and MME. They were chosen after the
wordings of ``verification_known.py`` and ``verification_unusual.py`` had been looked at, and before verification was
tried on them.
"""

from __future__ import annotations

from verification_planting import Wordings

HELD_OUT = Wordings(
    existence_one=(
        "A {name} is visible in the background, adding to the overall atmosphere of the scene.",
        "In addition to the main subject, there is {a} placed nearby, possibly belonging to someone.",
        "{A} can be seen on the ground, likely left there by its owner.",
        "There is also {a} positioned against the wall, adding to the homey atmosphere of the scene.",
        "Additionally, {a} is placed close to the other objects.",
        "Apart from that, there is {a} positioned nearby, giving a sense of everyday life.",
        "Nearby, there is a large {name} that reflects the interior of the place.",
        "The main subject is accompanied by {a}, which is placed close to it.",
        "The area also contains {a}, contributing to the lively feel of the image.",
        "The {name} is quite large, occupying a significant portion of the background.",
        "The {name} is the main focus of the scene.",
        "In the background, {a} can be seen, along with other items placed nearby.",
        "{A} is situated close to the others, ready to be used.",
        "The presence of {a} suggests that this is a popular spot.",
        "The scene features a unique {name} with an artistic design.",
        "There is {a} resting on the surface, indicating that someone was here a moment ago.",
    ),
    existence_many=(
        "There are also a few {things} scattered around the area, adding a touch of color to the environment.",
        "Numerous {things} are scattered throughout the area, with some of them close to each other.",
        "Several {things} can be seen in the scene, some closer to the foreground and others further back.",
        "In the background, there are several {things}, mostly out of focus.",
        "The place is surrounded by various {things}, which make for a busy scene.",
        "There are several other {things} in the scene as well.",
    ),
    denial=(
        "There are no {things} in the scene, giving the main subject the focus of the image.",
        "No {things} are visible in the image.",
        "There is no {name} in the image.",
        "There are no visible {things} in the picture.",
    ),
    count=(
        "There are {n} {things} visible in the image, one closer to the front and the rest further back.",
        "In total, there are {n} {things}, with some of them partially hidden.",
        "There are {n} {things} in the scene, creating a lively atmosphere.",
        "The image features {n} {things}, which are spread out across the scene.",
        "The image shows a total of {n} {things}.",
        "In addition to everything else, there are {n} {things} in the picture.",
        "There is a group of things to look at here, with a total of {n} {things} visible.",
        "The scene includes {n} {things}, each of them easy to make out.",
        "Additionally, there are {n} {things} in the image, adding context to the scene.",
        "Overall, the image contains {n} {things}.",
        "I can see {n} {things} in the image.",
        "The image depicts {n} {things}.",
    ),
    colour=(
        "The image features a {colour} {name} with a unique design on it.",
        "The {name} is {colour} in color and prominently displayed.",
        "There is a large {colour} {name} in the middle of it all.",
        "The {colour} {name} adds a pop of color to the scene.",
        "The {name} is {colour}, making it easily noticeable against the background.",
        "The main focus of the image is a {colour} {name}.",
        "Additionally, a {colour} {name} is placed nearby.",
        "The {name} in the scene is {colour}, which gives it an interesting appearance.",
        "The scene is dominated by a {colour} {name}, creating a striking contrast.",
        "The {name} appears to be {colour}.",
    ),
    place=(
        "The {name} is positioned on the {side} side of the scene, occupying a portion of the space.",
        "A {name} can be spotted on the {side} side of the image, adding to the scene.",
        "The {name} is located closer to the {side} edge of the image.",
        "Additionally, a {name} is located towards the {side} side of the scene.",
        "There is a {name} visible on the {side} side of the image.",
        "The {name} is standing on the {side} side of the scene.",
        "On the {side} side of the image, there is a {name}, which is ready to be used.",
        "The {name} is situated on the {side} side of the image, close to the edge.",
        "In the background, a {name} can be seen on the {side} side of the image.",
        "The {name} is placed near the {side} side of the frame.",
    ),
    place_upright=(
        "The {name} is positioned near the {side} of the image.",
        "A {name} can be seen at the {side} of the scene.",
        "The {name} is located in the {side} part of the scene, partially visible.",
        "There is a {name} in the {side} portion of the image.",
    ),
    relation=(
        "The {one} is located {relation} the {other}, close to the edge of the scene.",
        "There is a {one} {relation} the {other}.",
        "The {one} is positioned {relation} the {other}, creating a balanced composition.",
        "Additionally, a {one} can be seen {relation} the {other}.",
        "In the image, the {one} is {relation} the {other}.",
        "{Relation} the {other}, there is a {one}, adding to the scene.",
    ),
    size=(
        "The {large} is larger than the {small} in the image.",
        "Yes, the {large} is bigger than the {small}.",
        "The {small} is much smaller than the {large}, which makes it easy to overlook.",
        "The {large} is larger in size compared to the {small}.",
        "The {large} appears to be bigger than the {small} in this picture.",
        "The {large} occupies a larger portion of the image than the {small}.",
    ),
    largest=(
        "The {name} is the largest object in the scene.",
        "The largest item in the image is the {name}.",
        "The {name} is the biggest object in the picture, drawing the viewer's attention.",
    ),
    ask_existence=(
        "Is there {a} in the image?",
        "Is there {a} in this picture?",
        "Are there any {things} in the picture?",
        "Can you tell me whether the image contains {a}?",
        "Does the image feature {a}?",
        "Is there {a} visible in the image?",
    ),
    ask_count=(
        "Are there {n} {things} in the image?",
        "Is there a total of {n} {things} in this picture?",
        "Are there only {n} {things} in the image?",
    ),
    ask_place=(
        "Is the {name} on the {side} side of the image?",
        "Is the {name} located on the {side} side of the picture?",
        "Is there a {name} on the {side} side of the image?",
    ),
    ask_relation=("Is the {one} {relation} the {other} in the image?", "Is the {one} located {relation} the {other}?"),
    yes=(
        "Yes",
        "Yes.",
        "Yes, there is.",
        "Yes, the image shows that.",
        "Yes, that is correct.",
        "Yes, it is visible in the image.",
    ),
    no=(
        "No",
        "No.",
        "No, there is not.",
        "No, the image does not show that.",
        "No, that is not correct.",
        "No, it is not visible.",
    ),
)
