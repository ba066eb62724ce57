"""Words that decide whether a neighbouring word means the thing itself: "train station" shows no train."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import dropwhile, pairwise

from pumice.annotations.tokens import word_set


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(",") if phrase.strip())


#: Nouns that make a modifier of the word before them: what they name is something else, which may stand without it.
HEADS: frozenset[str] = word_set(
    """
    activities activity app area art barn basin bathroom batter beak beer behavior behaviour boot booth bread bumper
    button buttons cabin cabinet carriage carriages carrier cart cartoon charger cloth clothes clothing club cockpit
    collar company conversation cord costume court covering crate crew crossing crust cub culture cushion cutout cutter
    dealership decal deck decoration den depot dial diamond doll door dough drawer drawing drawn dugout dung ear emblem
    enclosure engine enthusiast equipment exhaust exhibit factory farm faucet feather feathers fender field figurine
    filled filling flavored flavoured flight food frosting fur game garden gear glove goggles habitat hair hangar
    harbor harbour harness headlight helmet holder hours house icing image industry interior juice keeper kennel key
    keys knife leaf league leash leaves leg license linen logo lover magnet maintenance manure mat meat milk mirror mix
    motor mural net network nose opener ornament oven owner ownership painting pan paper part parts patrol pattern
    petals pie pilot platform player poster pot practice propeller puppet rack railing ramp ranch repair reserve resort
    rim room route runway saddle safety salad sanctuary sauce schedule screen sculpture shape shaped sheet shelf
    shelter shelves side sized skin sled sleeve slice slope soup stable stain station statue stem strap stroller suit
    symbol system tablecloth tail tattoo team terminal theme themed ticket tire topping toy traffic trailer training
    tray tree trunk tunnel tusk tusks uniform wheel window windshield wing wool yard zipper
    bag box case feeder lane pen service space string track worm
    """
)
#: The same, but also what one does: "a car park", while "a man and a dog run", and "the clock shows" the time.
HEADS_OR_VERBS: frozenset[str] = word_set(
    """
    alarm arm back balloon bath bed board bowl brush cable cage call cap care cover design dock end face
    fare frame fuel hand handle hide hood jacket jump launch lid lift mark market mask match model nest
    number pad page park pass peel plate pocket pole post print race rail rally report ride run season seat service
    shoot shop show shower sign size slip spread stall stand stick sticker stop store tag tank time top
    tour trail trap travel treat trip wake wash worm
    """
)

#: Adjectives after which something is not what it is called.
UNREAL: frozenset[str] = word_set(
    """
    toy fake stuffed plush paper cardboard inflatable lego cartoon animated model miniature pretend imaginary ceramic
    porcelain origami carved sculpted drawn painted printed chocolate gingerbread play doll barbie plastic wooden metal
    stone bronze balloon knitted crocheted virtual
    """
)
#: Things of these materials are real, unless they were alive or drove.
MATERIALS: frozenset[str] = word_set("plastic wooden metal stone paper ceramic porcelain chocolate")
_NEVER_REAL = UNREAL - MATERIALS
LIVING: frozenset[str] = word_set("person bird cat dog horse sheep cow elephant bear zebra giraffe")
ALIVE: frozenset[str] = LIVING | word_set("car truck train airplane")
COLOURS: frozenset[str] = word_set(
    "black white grey gray brown red yellow green blue pink purple tan beige gold golden silver orange cream"
)

#: "A statue of a horse" shows no horse. A picture of one may be the very picture that is spoken of.
DEPICTIONS: frozenset[str] = word_set(
    """
    statue statues sculpture sculptures figurine figurines carving carvings mural murals drawing drawings painting
    paintings logo logos cartoon cartoons poster posters decal decals sticker stickers shape replica replicas costume
    silhouette silhouettes outline print likeness
    """
)

#: Before these, several who own something are there themselves: "the children's books", but "children's books".
DETERMINERS: frozenset[str] = word_set("the these those his her its their our my your both all two three four")

_ARTICLES: frozenset[str] = word_set("a an this that any")
_AUXILIARIES: frozenset[str] = word_set("do does did can could will would may might must should")

#: Whole phrases that mean none of the categories.
TRAPS: tuple[str, ...] = _phrases(
    """
    hot dog stand, hot dog bun, hot dog vendor, train of thought, truck bed, bed of the truck, bed of a truck,
    bed of lettuce, bed of rice, bed of flowers, bed of greens, bed of noodles, bed of grass, flower bed, river bed,
    oven mitt, oven mitts, oven glove, cake batter, pancake batter, pitcher of water, pitcher of beer, world cup,
    cupcake liner, cup holder, cupholder, mouse pad, mousepad, mouse trap, cat food, dog food, dog park, dog house,
    doghouse, dog tag, man made, manhole, manpower, bird house, birdhouse, bird bath, bird cage, bird's eye, birds eye,
    bird eye view, bird's eye view, birds eye view, dog bed, cat bed, pet bed,
    cat nap, catnap, cat walk, catwalk, horse shoe, horseshoe, mp3 player, dvd player, cd player, record player,
    media player, music player,
    horse power, horsepower, cow boy hat, cowboy hat, cowboy boots, cowboy boot, bull horn, bear in mind,
    bear resemblance, bear witness, bear fruit, bear the, bear a resemblance, elephant ear, bus stop, bus station,
    bus shelter, bus lane, bus terminal, bus route, train station, train track, train platform, train yard,
    train depot, railroad crossing, boat house, boathouse, boat dock, boat ramp, boat shoes, car park, car wash,
    parking lot, air plane mode, airplane mode, air show, plane crash, bicycle lane, bike lane, bike path, bike rack,
    bike trail, bike ride, motorcycle rally, truck stop, traffic light pole, street light pole, stop light pole,
    bench press, dining area, dining room, dining hall, dining experience, bed room, bed sheet, bedspread, bed spread,
    bed frame, bed side, bedside table, bedside lamp, book shelf, book case, bookshelf, bookcase, book store,
    book end, book bag, clock wise, o'clock, around the clock, sink hole, kitchen counter, toilet paper,
    toilet paper holder, toilet paper roll, toilet tissue, toilet brush, toilet tank, toilet lid, toiletries,
    tv stand, tv show, tv tray, tv cabinet, television show, television stand, laptop case, laptop bag, keyboard tray,
    piano keyboard, musical keyboard, remote area, remote location, remote work, remote island, remote place,
    phone booth, telephone booth, phone call, telephone pole, telephone poles, telephone wires, telephone line,
    telephone lines, phone line, apple tree, apple pie, apple juice, apple sauce, apple logo,
    apple cider, big apple, orange juice, orange tree, orange county, orange peel, banana bread,
    banana peel, banana tree, banana leaf, banana leaves, carrot top, pizza box, pizza place, pizza restaurant,
    pizza parlor, pizza shop, pizza dough, pizza sauce, pizza crust, pizza pan, pizza stone, donut shop, doughnut shop,
    donut box, cake stand, cake plate, cake topper, piece of cake to, sandwich shop, sandwich board, bowl cut,
    super bowl, bowling alley, bowling lane, fork lift, forklift, fork in the road, spoon rest, knife block,
    knife holder, bottle opener, bottle cap, bottle neck, bottleneck, wine bar, wine cellar, tie dye, tie dyed,
    tied, tie rack, umbrella stand, umbrella term, back pack strap, suit and, suitcase tag, ski lift, ski slope,
    ski resort, ski lodge, ski pole, ski jacket, ski boot, ski suit, ski mask, ski goggles, ski gear, ski area,
    ski trail, ski jump, ski run, ski equipment, ski hill, ski patrol, ski mountain, ski outfit, ski pants,
    ski cap, ski hat, chair lift, chairlift, kite string, kite tail, kite festival, kite surfing, kite boarding,
    kite board, kite flying, bird watching, horse racing, car racing, dog walking service, dog sledding, bike riding,
    horseback riding, kiteboard, kite shop, frisbee golf, disc golf, surf shop, ball park, ball game,
    ball field, ball cap, ball gown, disco ball, eye ball, crystal ball, ball of yarn, ball of string, bat mobile,
    baseball cap, baseball hat, baseball field, baseball game, baseball team, baseball uniform, baseball diamond,
    baseball park, baseball stadium, baseball match, baseball helmet, baseball jersey, baseball practice,
    football field, football game, football team, basketball court, basketball hoop, volleyball net, golf club,
    tennis court, tennis match, tennis game, tennis net, tennis shoes, tennis outfit, tennis skirt, sports bar,
    wine rack, cup board, cupboard, tea kettle, teapot, coffee pot, coffee maker, coffee shop, coffee machine,
    eye glasses, eyeglasses, glasses, sunglasses, sun glasses, reading glasses, magnifying glass, stained glass,
    looking glass, computer desk, computer chair, phone charger, bar of soap, candy bar, handle bar, handle bars,
    chocolate bar, towel bar, teddy bear shop, stuffing, plush carpet, display case, window display, plant life,
    power plant, treatment plant, flower shop, flower pattern, pot hole, ham radio, duck tape, duct tape, crane truck,
    construction crane, turkey sandwich, chicken sandwich, turkey breast, goose bumps, bull pen, bullpen, ram truck,
    calf muscle, calf muscles, traffic sign, friend request, family room, team work, child seat, baby powder,
    baby blue, baby stroller, baby carriage, baby bottle, baby shower, baby clothes, baby food, lady bug, ladybug,
    lady fingers, snowman, snow man, gingerbread man, scarecrow, scare crow, sea horse, seahorse, saw horse, sawhorse,
    rocking horse, hobby horse, carousel horse, sea lion, bull's eye, bullseye, prairie dog, guinea pig,
    teddy roosevelt, cell block, hair brush, hairbrush, paint brush, paintbrush, brush fire, toast rack,
    farmer's market, farmers market, driver's license, driver's seat, doctor's office, dentist's office, shepherd's pie,
    chef's hat, chef's knife, baker's dozen, men's room, women's room, mens room, ladies room, men's restroom,
    women's restroom, child care, childhood,
    master bedroom, master bath, king size, king sized, queen size, twin size, butterfly, dragonfly, fly ball,
    foul ball, home run, first person, third person, per person, in person, on board, on the other hand, board game,
    cutting board, bulletin board, score board, white board, black board, chalk board, bill board, ironing board,
    skateboard park, skate park, skatepark, snowboard park, surfboard rack, bike share, train set, bus pass,
    fish bowl, toilet bowl cleaner, dust pan, palm tree, shoulder strap, side car, sidecar, street car tracks, rail car,
    cable car, trolley car, box car, boxcar, dining car, car seat, car door, car window, car wheel, car hood,
    """
)

#: Adjectives, materials or sports before a noun, things where a phrase ends: "an orange cat", "an orange".
ADJECTIVES_TOO: frozenset[str] = word_set(
    """
    orange glass remote mobile novel human individual male female adult patient baseball football basketball volleyball
    softball teen semi signal display control meter bar brush range screen drink coffee beer toast pie wrap sub
    """
)

#: Things, but also what one does; after "to" or "can" they are done.
VERBS_TOO: frozenset[str] = word_set(
    """
    bear steer chair train book bat bowl sink man bike tie boat ski cup clock couch fork bottle duck ram cycle
    coach board drink
    pack phone plant flower kite bus truck jar watch seat bench brush display screen monitor control range wrap toast
    friend mother father baby parent pilot model umpire referee surf pup kid umbrella sandwich cart cab jet
    """
)
BEFORE_VERBS: frozenset[str] = word_set(
    """
    to can could will would may might must should shall cannot can't couldn't won't didn't doesn't don't they we i you
    """
)

#: After these a word in -s is what they do.
_WHO_ACTS: frozenset[str] = word_set("it he she who which that this also never always often")

#: After these an adjective ends a phrase as well as a noun does.
BEFORE_ADJECTIVES: frozenset[str] = word_set(
    "is are was were and or of in with color colour very mostly bright dark light"
)

#: What may follow a noun that ends its phrase. Words in -ing may, too ("an orange lying on a plate").
FOLLOWERS: frozenset[str] = word_set(
    """
    on in is are was were and or but with next near beside behind under over at from to for of that which who by has
    have had can may inside above below between as while where when so because along around into onto through off
    appear appears seem seems lies lie sits sit rests rest stands stand there here too also visible
    """
)


def acts(word: str, before: Sequence[str]) -> bool:
    """Whether what looks like a plural is a verb: "it trains balance"."""
    return word in VERBS_TOO and before[-1:] != [] and before[-1] in _WHO_ACTS


def modifies(before: Sequence[str], after: Sequence[str], categories: Sequence[str]) -> bool:
    """Whether a noun in the singular only describes the one behind it: "train" before "station"."""
    if not after:
        return False
    if not HEADS.isdisjoint({after[0], after[0].removesuffix("s"), after[0].removesuffix("es")}):
        return True
    return after[0] in HEADS_OR_VERBS and LIVING.isdisjoint(categories) and not _does(before, after)


def _does(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether what follows a noun is what it does: "where does the laptop stand?", "can the red car stop here?"."""
    subject = dropwhile(lambda word: word in DETERMINERS or word in _ARTICLES or word in COLOURS, reversed(before))
    return next(subject, "") in _AUXILIARIES and (len(after) == 1 or after[1] in FOLLOWERS)


def elsewhere(word: str, before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether a word in the singular is an adjective or a verb here: "orange" before "cat", "bear" after "can"."""
    previous = before[-1] if before else ""
    if word in VERBS_TOO and previous in BEFORE_VERBS:
        return True
    if word == "bed" and after[:1] == ["of"]:  # of flowers, of rice
        return True
    if word not in ADJECTIVES_TOO:
        return False
    if previous in ("", *BEFORE_ADJECTIVES):
        return True
    ends = not after or after[0].endswith("ing") or after[0] in FOLLOWERS
    return not ends or (after[:1] == ["and"] and after[1:2] != [] and after[1] in COLOURS)


def likeness(before: Sequence[str], categories: Sequence[str]) -> bool:
    """Whether a name is one of a toy or a picture: "a small toy car", "a statue of two horses"."""
    close = set(before[-2:])
    if not close.isdisjoint(_NEVER_REAL):
        return True
    if not close.isdisjoint(MATERIALS) and not ALIVE.isdisjoint(categories):
        return True
    return any(first in DEPICTIONS and second == "of" for first, second in pairwise(before[-4:]))
