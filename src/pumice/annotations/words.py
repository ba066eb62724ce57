"""English words for what stands in pictures: COCO's 80 categories as people call them, and words that only look so.

The lists were written for this project in the spirit of CHAIR's (Rohrbach et al. 2018): what a caption may say where
an annotation says "person". Singular forms; plurals are derived, irregular ones are listed.
"""

from __future__ import annotations

#: COCO's categories in its own order. First words that mean the category and nothing else ("couch"), then, behind
#: "<", words for a part of its kind ("man": of three persons two may be men), then, behind "~", words that may or may
#: not be annotated as it ("desk"): they can confirm, never refute.
COCO: dict[str, str] = {
    "person": "human, individual, pedestrian, persons < man, woman, boy, girl, child, kid, baby, toddler, infant,"
    " teenager, teen, adult, guy, lady, gentleman, male, female, mother, father, mom, dad, parent, son, daughter,"
    " brother, sister, sibling, husband, wife, bride, groom, friend, grandmother, grandfather, player, tennis player,"
    " baseball player, soccer player, basketball player, hitter, catcher, umpire, referee,"
    " goalkeeper, goalie, athlete, skier, snowboarder, skater, skateboarder, surfer, swimmer, rider, jockey, cyclist,"
    " biker, bicyclist, motorcyclist, racer, driver, pilot, passenger, commuter, traveler, traveller, tourist,"
    " visitor, onlooker, spectator, bystander, passerby, shopper, customer, diner, chef, baker, waiter, waitress,"
    " bartender, barista, vendor, seller, worker, employee, officer, policeman, policewoman, police officer, cop,"
    " fireman, firefighter, soldier, farmer, fisherman, businessman, businesswoman, cowboy, cowgirl, hiker, runner,"
    " jogger, walker, performer, musician, singer, dancer, actor, presenter, photographer, artist, clown,"
    " doctor, nurse, dentist, teacher, student, pupil, coach, toddler boy, little leaguer, herder, shepherd,"
    " bus driver, truck driver, train conductor, horse rider, dog walker, parasailer, kiteboarder, windsurfer,"
    " sunbather, beachgoer, attendee, audience member, team member, crew member, teammate, opponent"
    " ~ crowd, audience, family, crew, couple, someone, somebody, anyone, everyone, team, owner, handler, conductor,"
    " member, participant, guest, caretaker, trainer, caregiver, operator, mannequin, batter, pitcher, patient,"
    " speaker",
    "bicycle": "bike, push bike, pushbike < mountain bike, tandem, tricycle, unicycle, bmx, ten speed ~ moped, cycle",
    "car": "automobile < sedan, hatchback, coupe, convertible, cab, taxi, taxicab, limousine, limo, sports car,"
    " police car, station wagon, race car, racecar, cop car ~ jeep, minivan, suv",
    "motorcycle": "motorbike, motor bike, motor cycle < dirt bike, chopper, harley"
    " ~ scooter, moped, motor scooter, vespa, bike",
    "airplane": "plane, aeroplane, air plane, aircraft < jet, jetliner, airliner, biplane, seaplane, jumbo jet,"
    " passenger jet, jet plane, fighter jet, fighter plane, propeller plane, airbus, glider ~ helicopter",
    "bus": "autobus < school bus, double decker, double decker bus, tour bus, city bus, minibus, shuttle bus,"
    " transit bus, trolley bus, trolleybus ~ coach, trolley, shuttle",
    "train": "locomotive < subway train, passenger train, freight train, steam train, steam engine, bullet train,"
    " commuter train, tram, streetcar, monorail ~ subway, trolley, caboose, railcar, train car, train engine",
    "truck": "lorry < fire truck, firetruck, dump truck, tow truck, semi truck, semi, garbage truck, delivery truck,"
    " food truck, tractor trailer, big rig ~ pickup, pickup truck, pick up, pick up truck, fire engine, moving van,"
    " camper, trailer, tanker",
    "boat": "< sailboat, sail boat, motorboat, motor boat, speedboat, speed boat, rowboat, row boat, canoe, kayak,"
    " yacht, dinghy, ferry, ferryboat, gondola, tugboat, tug boat, fishing boat, houseboat, catamaran, schooner, barge"
    " ~ ship, vessel, raft, watercraft, cruise ship, cruise liner, jet ski",
    "traffic light": "stoplight, stop light, traffic signal, trafficlight ~ signal light, signal, street signal,"
    " crosswalk light, red light, green light, street light, streetlight",
    "fire hydrant": "hydrant, fireplug, fire plug",
    "stop sign": "",
    "parking meter": "~ meter",
    "bench": "< park bench ~ pew, seat, seating, seating area, picnic table",
    "bird": "birdie < seagull, gull, pigeon, dove, duck, duckling, goose, swan, owl, parrot, parakeet, cockatoo, macaw,"
    " eagle, hawk, falcon, crow, raven, sparrow, robin, finch, hummingbird, woodpecker, pelican, heron, egret, stork,"
    " flamingo, ostrich, peacock, rooster, hen, penguin, cormorant, seabird, songbird, waterfowl, mallard, vulture,"
    " bluebird, cardinal bird, blue jay, kingfisher, emu ~ chick, chicken, turkey, crane",
    "cat": "feline < kitten, kitty, tabby, house cat, tomcat",
    "dog": "canine < puppy, pup, doggy, doggie, hound, bulldog, poodle, labrador, retriever, golden retriever, corgi,"
    " terrier, beagle, dachshund, chihuahua, husky, german shepherd, border collie, collie, spaniel, greyhound,"
    " dalmatian, pug, sheepdog, rottweiler, schnauzer, mutt",
    "horse": "< pony, foal, colt, mare, stallion, racehorse ~ mustang, donkey, mule",
    "sheep": "< lamb, ewe ~ ram, goat",
    "cow": "cattle < calf, bull, heifer, steer, dairy cow ~ ox, bison, buffalo, longhorn, yak",
    "elephant": "pachyderm < baby elephant",
    "bear": "< polar bear, grizzly, grizzly bear, brown bear, black bear, bear cub, panda bear, panda ~ cub",
    "zebra": "",
    "giraffe": "",
    "backpack": "back pack, knapsack, rucksack ~ bag, pack, book bag, bookbag, luggage, baggage",
    "umbrella": "parasol, brolly ~ canopy, sunshade",
    "handbag": "purse, hand bag, pocketbook < clutch purse ~ bag, tote, tote bag, shoulder bag, messenger bag, satchel",
    "tie": "necktie, neck tie < bow tie, bowtie",
    "suitcase": "suit case < carry on, briefcase, trunk suitcase ~ bag, luggage, baggage, duffel bag, duffle bag,"
    " travel bag, piece of luggage",
    "frisbee": "flying disc, flying disk ~ disc, disk",
    "skis": "ski, snow ski",
    "snowboard": "snow board ~ board",
    "sports ball": "ball < tennis ball, baseball ball, soccer ball, football ball, basketball ball, volleyball ball,"
    " beach ball, rugby ball, golf ball, bowling ball, softball ball ~ baseball, football, basketball, volleyball,"
    " softball",
    "kite": "< parasail kite ~ parasail, parachute",
    "baseball bat": "bat < softball bat ~",
    "baseball glove": "catcher's mitt, catchers mitt, baseball mitt, mitt, catching glove ~ glove",
    "skateboard": "skate board, longboard ~ board",
    "surfboard": "surf board, surfing board < boogie board, bodyboard, body board ~ board, paddleboard, paddle board",
    "tennis racket": "tennis racquet, tennis raquet, racket, racquet",
    "bottle": "< water bottle, wine bottle, beer bottle, soda bottle, ketchup bottle, plastic bottle ~ jar, flask,"
    " beer, ketchup",
    "wine glass": "wineglass, wine goblet < champagne glass, champagne flute, glass of wine, glass of red wine,"
    " glass of white wine ~ goblet, glass, drinking glass, drink, beverage, martini glass, stemware",
    "cup": "< mug, coffee cup, coffee mug, teacup, tea cup, paper cup, plastic cup, tumbler, cup of coffee, cup of tea,"
    " mug of coffee, mug of beer ~ glass, drinking glass, drink, beverage, coffee, glass of water, glass of milk,"
    " glass of juice, glass of orange juice, glass of beer, pint",
    "fork": "< dinner fork, salad fork ~ utensil, silverware, cutlery, eating utensil",
    "knife": "< butter knife, steak knife, carving knife, bread knife, kitchen knife, pocket knife"
    " ~ utensil, silverware, cutlery, eating utensil, blade, cleaver, cutter, pizza cutter",
    "spoon": "< tablespoon, teaspoon, wooden spoon ~ utensil, silverware, cutlery, eating utensil, ladle, spatula",
    "bowl": "< mixing bowl, salad bowl, soup bowl, fruit bowl, cereal bowl ~ dish, bowl of soup, basin",
    "banana": "~ plantain, bunch of bananas",
    "apple": "",
    "sandwich": "sub sandwich, panini < club sandwich, ham sandwich, cheese sandwich, grilled cheese, sandwich half"
    " ~ burger, hamburger, cheeseburger, sub, hoagie, wrap, burrito, bagel, bun, gyro, taco, toast",
    "orange": "~ tangerine, mandarin, clementine, citrus, citrus fruit, grapefruit",
    "broccoli": "broccoli floret, broccolli ~ vegetable, veggie, green vegetable",
    "carrot": "< baby carrot, carrot stick, carrot slice ~ vegetable, veggie",
    "hot dog": "hotdog, frankfurter < corn dog, chili dog ~ sausage, bratwurst, frank, wiener",
    "pizza": "< pizza pie, slice of pizza, pizza slice, pepperoni pizza, cheese pizza ~ pie, calzone, flatbread",
    "donut": "doughnut < glazed donut, donut hole, doughnut hole, cruller ~ pastry, bagel",
    "cake": "< cupcake, cheesecake, birthday cake, wedding cake, chocolate cake, slice of cake, piece of cake,"
    " layer cake, carrot cake, shortcake, coffee cake ~ dessert, pastry, muffin, brownie, pancake, pie, crepe",
    "chair": "< armchair, arm chair, office chair, rocking chair, folding chair, lawn chair, high chair, highchair,"
    " deck chair, dining chair, beach chair, desk chair, swivel chair, recliner, easy chair, wheelchair, lounge chair"
    " ~ stool, bar stool, barstool, seat, seating, rocker, ottoman, throne, chaise, furniture piece, bench chair",
    "couch": "sofa, settee, davenport < loveseat, love seat, sectional, futon ~ seat, daybed, chaise, recliner",
    "potted plant": "houseplant, house plant < flower pot with plant, potted flower, potted tree, potted fern"
    " ~ plant, flower, flowerpot, flower pot, planter, fern, succulent, cactus, bouquet, bonsai, greenery, shrub, bush",
    "bed": "< bunk bed, hospital bed, twin bed, queen bed, king bed, bunk, crib ~ mattress, cot, daybed, bedding",
    "dining table": "dinner table, dining room table < kitchen table"
    " ~ table, tabletop, desk, coffee table, counter, countertop, picnic table, end table, side table, bar",
    "toilet": "commode, toilet bowl, toilet seat, latrine < urinal ~ bathroom fixture, restroom",
    "tv": "television, television set, tv set, tv screen, television screen < flat screen tv, flatscreen tv,"
    " flat screen,"
    " flatscreen ~ screen, monitor, computer monitor, computer screen, display, computer",
    "laptop": "laptop computer, notebook computer, lap top, macbook ~ computer, notebook, netbook, tablet",
    "mouse": "computer mouse, wireless mouse, mousepad with mouse ~ trackball",
    "remote": "remote control, remote controller, tv remote, wii remote, wiimote, game remote ~ controller,"
    " game controller, video game controller,"
    " nintendo wii controller, wii controller, control, joystick",
    "keyboard": "computer keyboard, wireless keyboard ~ keypad, piano keyboard",
    "cell phone": "cellphone, cellular phone, mobile phone, mobile, smartphone, smart phone, cellular telephone,"
    " iphone, camera phone, flip phone ~ phone, telephone, device, blackberry",
    "microwave": "microwave oven ~ oven",
    "oven": "< wall oven, toaster oven, pizza oven, stove top oven, stovetop oven ~ stove, stovetop, stove top,"
    " cooker, range, burner",
    "toaster": "~ toaster oven",
    "sink": "washbasin, wash basin < bathroom sink, kitchen sink, double sink ~ basin, faucet",
    "refrigerator": "fridge, icebox, mini fridge ~ freezer, cooler",
    "book": "< textbook, hardback, paperback, cookbook, hardcover ~ novel, magazine, notebook, comic, dictionary,"
    " manual",
    "clock": "alarm clock, wall clock < clock face, clock tower, grandfather clock ~ watch, timepiece, timer",
    "vase": "< flower vase, glass vase ~ urn, jug, pot, pitcher vase, jar, bouquet",
    "scissors": "scissor, pair of scissors, shears",
    "teddy bear": "teddy, stuffed bear, plush bear, toy bear, teddybear"
    " ~ stuffed animal, stuffed toy, plush, plush toy, plushie, stuffed dog, stuffed rabbit, doll, toy",
    "hair drier": "hair dryer, hairdryer, hairdrier, blow dryer, blowdryer, blow drier ~ dryer",
    "toothbrush": "tooth brush, electric toothbrush ~ brush",
}

#: Words for any one of several categories.
SUPER: dict[str, str] = {
    "vehicle": "car, bus, truck, motorcycle, bicycle, train, boat, airplane",
    "animal": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
    "creature": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
    "livestock": "horse, sheep, cow",
    "pet": "bird, cat, dog, horse",
    "fruit": "banana, apple, orange",
    "van": "car, truck, bus",
    "appliance": "microwave, oven, toaster, refrigerator, hair drier",
    "electronic": "tv, laptop, mouse, remote, keyboard, cell phone",
    "furniture": "chair, couch, bed, dining table, bench",
}

IRREGULAR: dict[str, str] = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "persons": "persons", "goose": "geese",
    "mouse": "mice", "knife": "knives", "calf": "calves", "sheep": "sheep", "cattle": "cattle", "ox": "oxen",
    "bison": "bison", "scissors": "scissors", "skis": "skis", "shears": "shears", "broccoli": "broccoli",
    "aircraft": "aircraft", "watercraft": "watercraft", "die": "dice", "fish": "fish", "half": "halves",
    "luggage": "luggage", "baggage": "baggage", "silverware": "silverware", "cutlery": "cutlery",
    "furniture": "furniture", "livestock": "livestock", "passerby": "passersby", "someone": "someone",
    "somebody": "somebody", "anyone": "anyone", "everyone": "everyone", "bedding": "bedding", "greenery": "greenery",
    "offspring": "offspring", "stemware": "stemware", "waterfowl": "waterfowl", "seating": "seating",
}  # fmt: skip
