"""Verification: what an answer says about a picture against what its annotations say."""

from __future__ import annotations

from collections.abc import Sequence

from pumice.annotations.categories import vocabulary_for
from pumice.annotations.scene import Scene
from pumice.datagen.samples import Exchange
from pumice.datagen.verification.claims import Claim


def verify(scene: Scene, exchanges: Sequence[Exchange]) -> tuple[Claim, ...]:
    """Every claim of the answers that annotations could bear out or refute, in order."""
    vocabulary = vocabulary_for(scene)
    captioned = {name for caption in scene.captions for m in vocabulary.mentions(caption) for name in m.categories}
    claims = []
    for number, exchange in enumerate(exchanges):
        for mention in vocabulary.mentions(exchange.answer):
            names = set(mention.categories)
            if mention.number == 0 or mention.loose:
                continue
            if any(thing.category in names for thing in scene.things) or names & captioned:
                claims.append(Claim("existence", mention.word, number, "supported", "it is annotated"))
    return tuple(claims)
