"""Draw the README's pictures: scenes of the synthetic world that training never contains.

python examples/draw_pictures.py
"""

from pathlib import Path

from pumice.world.draw import draw_scene
from pumice.world.scene import make_scene

PICTURES = {"dice.png": 5107, "cups.png": 5286, "hats.png": 5146}

for name, index in PICTURES.items():
    draw_scene(make_scene("held_out", index), 448).save(Path(__file__).parent / name, optimize=True)
    print(f"{name}: held-out scene {index}")
