"""Wordings that verification was not developed with: of false sentences to plant, and of true ones as a control.

They are in the manner of what models write about pictures, and of the questions of POPE, MME and VQA. They were written
after all others had been looked at, and before verification was tried on them; nothing was changed after that.
"""

from __future__ import annotations

from verification_planting import Wordings

HELD_OUT = Wordings(
    existence_one=(
        "The image also reveals {a} in the vicinity, which goes well with the rest.",
        "Moreover, {a} is captured in the shot.",
        "Besides the main subject, the viewer can notice {a}.",
        "{A}, partially cut off by the frame, is seen as well.",
        "Somewhere behind the others, {a} is lying on the floor.",
        "One of the more surprising details is {a} next to the wall.",
        "We can observe {a} in the surroundings.",
        "The setting is made complete by {a} and a small lamp.",
        "The {name} in the image looks well used.",
        "At first glance, {a} draws the attention.",
        "The scene would look empty if it were not for the small details: {a} is standing there, for one.",
        "As a matter of fact, {a} is right there.",
        "There seems to be nobody around, but {a} was left behind.",
        "A wooden crate and {a} stand side by side.",
        "Last but not least, there is {a}.",
        "The viewer is looking at {a}, seen from above.",
    ),
    existence_many=(
        "The rest of the image is filled with {things}.",
        "In front of it, several {things} are lined up.",
        "Behind all of that, one finds a number of {things}.",
        "The scene shows many {things} close together.",
        "Some {things} are lying on top of each other.",
        "Lots of {things} are visible.",
    ),
    denial=(
        "The image does not contain any {things}.",
        "There are not any {things} in the picture.",
        "No {name} can be seen in this photograph.",
        "In this picture, there is no {name}.",
    ),
    count=(
        "The number of {things} in this photo is {n}.",
        "There are {n} {things} in this scene.",
        "Altogether, there are {n} {things} in the image.",
        "You can count {n} {things} in the picture.",
        "The picture captures {n} {things}.",
        "All in all, the scene shows {n} {things}.",
        "There seem to be {n} {things} in the image.",
        "There appear to be {n} {things} in total.",
        "It shows exactly {n} {things}.",
        "The image showcases {n} {things}.",
        "In the image, there are {n} {things}, all of them similar.",
        "The scene has {n} {things}.",
    ),
    colour=(
        "The {name} is predominantly {colour}.",
        "We see a {colour} {name} in the image.",
        "The {name} in this scene has a {colour} color.",
        "The image contains a {colour} {name}, which is easy to notice.",
        "The {name} is colored {colour}.",
        "A bright {colour} {name} is present.",
        "The color of the {name} in the image is {colour}.",
        "The {colour} {name} is easy to notice.",
        "The {name} is {colour}.",
        "The scene includes a {colour} {name}.",
    ),
    place=(
        "The {name} is found on the {side} side of the image.",
        "The {name} can be observed towards the {side} of the picture.",
        "The {name} takes its place in the {side} part of the scene.",
        "In the {side} portion of the image, the {name} is visible.",
        "On the {side} side, there is a {name}.",
        "The {name} is visible on the {side}-hand side of the picture.",
        "The {name}, located on the {side} side of the image, is easy to see.",
        "There is a {name} to the {side} in the picture.",
        "The {name} is at the {side} edge of the image.",
        "A {name} is placed on the {side} of the scene.",
    ),
    place_upright=(
        "The {name} can be found at the {side} of the image.",
        "The {name} is visible in the {side} section of the picture.",
        "There is a {name} near the {side} of the scene.",
        "Towards the {side} of the picture, a {name} can be seen.",
    ),
    relation=(
        "The {one} is seen {relation} the {other}.",
        "The {one} sits {relation} the {other}.",
        "There is also a {one} {relation} the {other}.",
        "The {one} can be found {relation} the {other}.",
        "One can notice that the {one} is {relation} the {other}.",
        "{Relation} the {other} there is a {one}.",
    ),
    size=(
        "The {large} is a lot larger than the {small}.",
        "The {small} is quite a bit smaller than the {large}.",
        "The {large} looks larger than the {small} in the photo.",
        "The {large} is considerably bigger than the {small}.",
        "The {small} seems smaller than the {large}.",
        "The {large} takes up more of the image than the {small}.",
    ),
    largest=(
        "The {name} is the largest object in this picture.",
        "The largest thing in the image is the {name}.",
        "The {name} is the biggest thing in the scene.",
    ),
    ask_existence=(
        "Is {a} in the image?",
        "Can you spot {a} in the picture?",
        "Are any {things} visible in the image?",
        "Is there any {name} in the picture?",
        "Does the picture include {a}?",
        "Do you see any {things} in this photo?",
    ),
    ask_count=(
        "Are there {n} {things} in the scene?",
        "Are there exactly {n} {things} in this picture?",
        "Do you see {n} {things}?",
    ),
    ask_place=(
        "Is the {name} towards the {side} of the image?",
        "Is the {name} placed on the {side} side of the scene?",
        "Would you say the {name} is on the {side} side of the picture?",
    ),
    ask_relation=(
        "Is the {one} placed {relation} the {other}?",
        "Would you say the {one} is {relation} the {other}?",
    ),
    yes=("Yes", "Yes.", "Yes, it is.", "Yes, there is one.", "Yes, that's right.", "Yes, definitely."),
    no=("No", "No.", "No, it isn't.", "No, there is none.", "No, that's wrong.", "No, definitely not."),
)
