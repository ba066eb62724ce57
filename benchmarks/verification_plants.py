"""Wordings that verification was not developed with: of false sentences to plant, and of true ones as a control.

The frames of sentences, one after another as they come, that LLaVA-1.5 and Shikra wrote about the first thirty of
COCO's pictures in the published logs of OPERA (shikiw/OPERA, log/chair_eval_results), shortened and with other things
in them; what such texts hardly have (sizes, denials, questions) is in the manner of VQA, POPE and MME. They were
written after all others had been looked at, and before verification was tried on them: at once, 96.7 % were caught.
"""

from __future__ import annotations

from verification_planting import Wordings

HELD_OUT = Wordings(
    existence_one=(
        "A {name} is visible further back.",
        "The image features a large {name}, taking up much of the field.",
        "The {name} is the main focus here, with its details prominently visible.",
        "The {name} appears to be facing the camera, giving a sense of depth to the image.",
        "A {name} is also present on the ground, possibly left there for later.",
        "The {name} has a unique, circular design, and it is placed on a wooden surface.",
        "A {name} can be seen nearby.",
        "The {name} is located on a sidewalk, and it appears to be a part of a park setting.",
        "The {name} is situated near a fence, which can be seen in the background.",
        "The image features a small {name} near a fence, surrounded by rain.",
        "In the background, there is a {name} visible, adding to the cozy atmosphere.",
        "The scene takes place in a park, with a {name} located nearby.",
        "The room also contains a {name} positioned near the door, and a rug is placed close by.",
        "The {name} is decorated in many colours, making it a delightful centerpiece for the celebration.",
        "Beside the main subject, there is a {name}, adding to the overall experience.",
        "A {name} is positioned near the wall, ready to be used to enjoy the day.",
        "A {name} is also visible on the floor, likely used a moment ago.",
        "There is a {name} visible in the scene, located near the wall.",
        "Additionally, a {name} is placed on the floor, suggesting that somebody might have been sitting down there.",
        "There is also a {name} positioned against the wall, adding to the homey feeling.",
        "In the background, there is a {name}, indicating that the location is a popular destination.",
        "A {name} can be seen in the scene, suggesting that somebody is ready to pick it up.",
        "It is accompanied by a {name}, which is positioned close to it.",
    ),
    existence_many=(
        "There are also a few {things} scattered around, adding a touch of greenery to the environment.",
        "Numerous {things} are scattered throughout the place.",
        "There are several other {things} in the background, some of which are also standing around.",
        "Several {things} can be seen in the background, mostly out of focus.",
        "There are several {things} visible, adding to the lively atmosphere.",
    ),
    denial=(
        "There are no {things} in the scene.",
        "There are no other objects and no {things} in the image.",
        "No {things} are visible in the scene.",
        "There is no {name} visible in the image.",
    ),
    count=(
        "There are {n} {things} visible in the scene, some of them close to each other, while others are spread out.",
        "There is a lot to see, with a total of {n} {things} visible.",
        "In addition, there are {n} {things} visible in the image, spread over different places.",
        "In addition to that, there are {n} {things} in the scene.",
        "The image features {n} {things}.",
        "In total, there are {n} {things}, with some of them closer than others.",
        "There are also {n} {things} in the image, which stand out from the rest.",
        "There are {n} {things} visible, contributing to the bustling atmosphere.",
        "The image depicts a scene with {n} {things}.",
        "The image shows {n} {things}, giving the scene a neat and organized appearance.",
        "There are {n} {things} present in the scene.",
        "The scene captures {n} {things}.",
    ),
    colour=(
        "The image features a {colour} {name} with a unique design painted on it.",
        "The image features a large, {colour} {name} in a field.",
        "The {name} is {colour} in color and prominently displayed.",
        "There is a {colour} {name} in plain view in the scene.",
        "The {name} is {colour}, adding a pop of color to the scene.",
        "The {colour} {name} is placed on a wooden surface.",
        "The image features a scene with a {colour} {name} near the wall.",
        "The {name} has a {colour} surface.",
    ),
    place=(
        "A {name} can be seen on the {side} side of the scene, adding a touch of greenery to the urban environment.",
        "The {name} is standing on the {side} side of the scene.",
        "In the background, a {name} is situated further back on the {side} side of the scene.",
        "Additionally, a {name} can be spotted on the {side} side of the image, possibly left there by someone.",
        "There is more to see, with one {name} on the {side} side of the image.",
        "There is a {name} on the {side} side of the image, possibly part of a larger group.",
        "It is accompanied by a {name}, which is positioned near the {side} edge of the scene.",
        "A {name} is located near the {side} edge of the scene.",
        "A {name} can be seen in the background, mostly towards the {side} side of the image.",
        "A {name} is visible close to the {side} side of the image, while other things are further away.",
    ),
    place_upright=(
        "The {name} is positioned near the {side} edge of the scene.",
        "A {name} is located at the {side} of the image.",
        "There is a {name} towards the {side} part of the image.",
        "A {name} can be seen in the {side} part of the image.",
    ),
    relation=(
        "{Relation} the {other}, there is a {one} on display, adding a touch of color.",
        "There is a {one} located {relation} the {other}.",
        "The scene has a {one}, which is located {relation} the {other}.",
        "There is a {one} set {relation} the {other}.",
        "The {one} is mounted {relation} the {other}.",
        "A {one} is also visible {relation} the {other}.",
    ),
    size=(
        "The {large} is larger than the {small}.",
        "The {small} is smaller than the {large} in the image.",
        "The {large} is bigger than the {small} in this scene.",
        "The {large} looks much larger than the {small}.",
        "No, the {small} is smaller than the {large}.",
        "The {large} takes up more of the scene than the {small}.",
    ),
    largest=(
        "The {name} is the largest object in the image.",
        "The largest object in the scene is the {name}.",
        "The {name} is the biggest object here.",
    ),
    ask_existence=(
        "Is there a {name} in the image?",
        "Is there a {name} in this image? Please answer yes or no.",
        "Is there any {name} in this picture?",
        "Are there any {things} in the photo?",
        "Do you see a {name}?",
        "Does this picture have a {name} in it?",
    ),
    ask_count=(
        "Are there {n} {things} in this image? Please answer yes or no.",
        "Are there only {n} {things} in the picture?",
        "Is there a total of {n} {things} in the image?",
    ),
    ask_place=(
        "Is the {name} on the {side} side of the image?",
        "Is the {name} on the {side} side of the photo? Please answer yes or no.",
        "Is the {name} to the {side} of the image?",
    ),
    ask_relation=(
        "Is the {one} {relation} the {other}?",
        "Is there a {one} {relation} the {other} in the image?",
    ),
    yes=("Yes", "Yes.", "yes", "Yes, there is.", "Yes, the answer is yes.", "Yes, that is the case."),
    no=("No", "No.", "no", "No, there is not.", "No, the answer is no.", "No, that is not the case."),
)
