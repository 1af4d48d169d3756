/* Plots with wild things: animals in need, seeds, weather. */
#include "stories_plots.h"
#include "stories_words.h"

/* clang-format off */

/* ---- an animal in need comes back ---- */

static const struct stories_row rescue_beasts[] = {
    {TAG_SEA, 0, {"seal pup", "[grey|spotted|white]",
        "lay high on the sand, where the tide had left it. The water was far away, and the sun was hot",
        "laid wet seaweed on its back and carried water in a hat until the tide came in", "swam out into the waves",
        "the rowing boat drifted out with {hero} in it, and the oars had gone overboard",
        "Something pushed against the stern. It was the seal, and it pushed the boat back to the beach"}},
    {TAG_SEA, 0, {"dolphin", "[young|small|frightened]", "splashed about in a pool between the rocks and could not get back into the sea",
        "dug a ditch through the sand, from the pool to the waves, and the dolphin swam along it", "leaped three times out of the water",
        "the fog lay so thick on the sea that {hero}'s little boat could not find the harbour",
        "Then a fin cut through the water in front of the bow. The dolphin swam ahead, slowly, and led them home"}},
    {TAG_RIVER | TAG_LAKE, 0, {"swan", "[young|frightened|white]", "had been caught in an old fishing line and beat its wings in vain",
        "waded in up to the chest and cut the line, loop by loop", "shook its feathers and swam away",
        "{hero}'s boat broke loose, with {hero} in it, and drifted towards the weir",
        "Then there was a beating of great white wings. The swan took the rope in its beak and pulled the boat to the bank"}},
    {TAG_RIVER | TAG_LAKE, 0, {"duckling", "[yellow|brown|fluffy]",
        "had fallen behind its family and sat alone on a stone in the rushing water",
        "laid a board from the bank to the stone, with corn on it, and the duckling walked across",
        "ran to its mother as fast as its feet could go",
        "{hero} lost {his} way among the reeds, and evening was coming",
        "Then there was a quack, and another. Eleven ducks swam ahead in a row, and they led {him} to the path"}},
    {TAG_HILL, 0, {"eagle", "[young|ragged|small]", "had fallen from its nest and hung in a bush over the deep valley",
        "lay down flat, reached out with a branch, and pulled the bush near until the bird could be lifted out",
        "rose in a great circle and was gone",
        "a goat had run away, and nobody could see it among all those rocks",
        "Then a shadow passed over the grass. The eagle circled over one spot and cried, and there, in a hollow, was the goat"}},
    {TAG_HILL, 0, {"lamb", "[white|black|tiny]", "stood on a narrow ledge and could go neither up nor down",
        "climbed down on a rope and carried the lamb up in their arms", "ran bleating to its mother",
        "snow fell so thickly that {hero} could not find the shepherd's hut",
        "Then there was a bell. There stood the lamb with the whole flock, and they kept {him} warm until morning"}},
    {TAG_WOOD, 0, {"fawn", "[spotted|brown|trembling]",
        "had fallen into an old pit, and its mother stood above and did not know what to do",
        "threw in branches and earth until it was like a flight of stairs, and the fawn climbed out", "sprang away into the green",
        "{hero} had gone too far into the forest and did not know the way home",
        "Then the ferns parted. The deer looked around once, walked ahead, and waited at every bend"}},
    {TAG_WOOD, 0, {"owl", "[young|fluffy|small]", "sat on the ground, under the tree, and could not yet fly",
        "put it into a basket, pulled the basket up to the nest with a string, and let it climb out", "clicked its beak and went to sleep",
        "the mice had got into the nut store and were eating up the winter",
        "That night there was a hoot above the roof. The owl had come to live there, and the mice moved out in a great hurry"}},
    {TAG_FIELD, 0, {"stork", "[young|lonely|thin]",
        "had hurt its wing and stood in the stubble while all the others gathered for the long journey",
        "made a splint out of two spoons and fed it with worms and patience for three weeks", "flew off behind the last of the storks",
        "in spring there was a great drought, and the caterpillars were eating up the cabbages",
        "Then the stork came back with its whole family, until there was not one caterpillar left"}},
    {TAG_FIELD, 0, {"hare", "[young|brown|frightened]", "had caught its leg in a loop of wire and had pulled it tighter and tighter",
        "spoke to it softly until it lay still, and bent the wire open", "ran off in a zigzag",
        "{hero} was asleep in the straw when a spark fell on the field",
        "Something drummed beside {his} ear. It was the hare, and {he} woke up just in time to put out the flames"}},
};
static const struct stories_table rescue_beast = {.columns = {"beast", "adj", "trouble", "help", "leave", "need", "return"
}, STORIES_ROWS(rescue_beasts)};

static const char *const rescue_text[] = {
    "{intro}",
    "[{Day.one}, {hero} and {friend}, {friend.a} from next door, were {spot.at} when they heard|"
    "{Day.one}, {hero} was walking with {friend}, {his} best friend, when they heard] "
    "a [thin|strange|sad] little cry. They [followed|went after] the sound, and there was {a} {beast.adj} {beast}. It {beast.trouble}.",
    "\n",
    "\"[We cannot help it|There is nothing we can do|It will bite us],\" {says friend}. \"[We can try|It is more afraid than we are|"
    "Then we must think of something],\" {says hero}. "
    "Then they {beast.help}. "
    "[?It took the whole afternoon.|They were wet and dirty, and very glad.|\"Now,\" {whispers friend}, \"now!\"] "
    "The {beast} {beast.leave}. [?It did not look back.|At the last moment it turned its head.|"
    "\"It did not even thank us,\" {says friend}.]",
    "\n",
    "[Many weeks later|The summer went by, and one day|Nobody thought about it any more. But then, one day,] {beast.need}. "
    "[?{Hero} called for help, but nobody heard.|\"What shall we do?\" {asks friend}.|Things could not have been worse.] "
    "{beast.return}.",
    "\n",
    "[\"It has not forgotten you,\" {says friend}.|{Friend} rubbed {friend.his} eyes. \"That was our {beast}!\"|"
    "\"Was that the same one?\" {asks friend}. \"I knew it by its eyes,\" {says hero}.] "
    "[Wild animals do not say thank you. They do it in another way.|{Hero} waved for a long time.|{glad hero}|{sleeps hero}|"
    "A kindness may take its time, but it knows the way.]",
    NULL,
};
const struct stories_plot stories_plot_rescue = {
    .name = "rescue",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days, .any = TAG_WARM | TAG_MILD},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "spot", .table = &stories_spots},
        {.name = "beast", .table = &rescue_beast},
    },
    .text = rescue_text,
};

/* ---- a seed cannot be hurried ---- */

static const struct stories_row seeds[] = {
    {0, 0, {"[flat|striped] seed", "sunflower", "so tall that it could look in at the window of the attic",
        "gave all its seeds to the birds, except one"}},
    {0, 0, {"[speckled|red] bean", "bean plant", "up the wall, over the roof and down the other side",
        "cooked a pot of beans for everyone, and kept the most beautiful bean of all"}},
    {0, 0, {"[brown|shiny] apple seed", "apple tree", "slowly, until it was as tall as {friend}, and then as tall as the house",
        "bit into the first red apple, and put its seeds in {his} pocket"}},
    {0, 0, {"[smooth|flat] pumpkin seed", "pumpkin", "so big that four had to roll it",
        "scooped out the pumpkin, ate it as soup, and sailed across the pond in the shell"}},
    {0, 0, {"[brown|dry] bulb", "tulip", "straight up like a candle, with a red flame on top",
        "asked everyone not to pick it, and nobody did"}},
    {0, 0, {"[round|shiny] acorn", "oak", "no higher than {his} knee, and yet it was already a real tree",
        "sat down beside it and was proud of its shadow, which was as big as a cap"}},
    {0, 0, {"[black|tiny] seed", "poppy", "overnight, it seemed, and opened a flower as thin as silk",
        "shook the dry seeds along the path, so that the next summer it would be red from end to end"}},
};
static const struct stories_table seed = {.columns = {"seed", "plant", "grew", "end"}, STORIES_ROWS(seeds)};

static const struct stories_row hurries[] = {
    {0, 0, {"dug it up again to see whether it had begun, and put it back"}}, {0, 0, {
        "poured so much water over it that the worms had to swim"}},
    {0, 0, {"told it to grow, in a very loud voice"}}, {0, 0, {"sat before it all day long and did not take {his} eyes off it"}},
    {0, 0, {"put a warm blanket over it, and then a second one"}}, {0, 0, {"carried the pot around after the sun, from window to window"}},
};
static const struct stories_table hurry = {.columns = {"how"}, STORIES_ROWS(hurries)};

static const char *const seed_text[] = {
    "{intro}",
    "[{Day.one}, {elder}, {elder.a} next door,|{Day.one}, {elder}, {elder.a} with a big garden,] gave {him} {a} {seed.seed}. "
    "\"[In there is|Inside there sleeps|This is going to be] {a} {seed.plant},\" {says elder}. [?\"You only have to wait.\"|"
    "\"All it needs is earth, water and time.\"]",
    "\n",
    "{Hero} put it into a pot of [black|good] earth. [The next morning|After an hour|At breakfast] {he} looked, and there was nothing. "
    "So {he} {hurry1.how}. "
    "[?Then {he} {hurry2.how}.] [\"What are you doing?\" asked {friend}, {friend.a} from next door. \"I am helping it,\" {says hero}.|"
    "\"I want it to hurry,\" {says hero} to {friend}, {friend.a} from next door.] [?\"You are only making it nervous,\" {says friend}.|"
    "\"Does it help you to be woken up?\" {asks friend}.]",
    "[Then {elder} came by and bent over the pot|\"Perhaps it is dead,\" {says hero}, but {elder} shook {elder.his} head]. "
    "\"[It is working where you cannot see it.|First it grows down, and then up.|It is making its roots now.] "
    "[?Do something else in the meantime.|Sing to it, if you must do something.]\"",
    "\n",
    "So {hero} [went out to play with {friend}|built a dam with {friend}|learned to whistle]. [Then, early one day,|"
    "And one fine morning] there was a green tip in the earth. "
    "[?\"It is there!\" {cries hero}, and woke the whole house.|{He} hardly dared to breathe.|"
    "{He} fetched {friend} and {elder}, and all three of them knelt down before it.]",
    "The {seed.plant} grew {seed.grew}. And {hero} {seed.end}. [?\"I waited,\" {says hero} proudly. "
    "\"That is the hardest work there is,\" {says elder}.|Whenever somebody was in a hurry after that, {hero} told them about the "
    "seed.|{glad hero}|{close}]",
    NULL,
};
const struct stories_plot stories_plot_seed = {
    .name = "seed",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days, .any = TAG_MILD | TAG_WARM},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "seed", .table = &seed},
        {.name = "hurry1", .table = &hurry},
        {.name = "hurry2", .table = &hurry},
    },
    .text = seed_text,
};

/* ---- two who do not like each other wait for the storm to end ---- */

static const struct stories_row shelters[] = {
    {TAG_SEA, 0, {"under an upturned boat on the beach", "the boat", "It smelled of tar and fish"}},
    {TAG_HILL, 0, {"into a small cave behind a juniper bush", "the cave", "The floor was dry, and somebody had left a heap of hay"}},
    {TAG_WOOD, 0, {"into a hollow oak, as wide as a pantry", "the oak", "It smelled of mushrooms and old leaves"}},
    {TAG_FIELD, 0, {"into a shed full of hay", "the shed", "The hay was warm, and something in it was squeaking"}},
    {TAG_RIVER, 0, {"under the old bridge", "the bridge", "The swallows looked down from their nests"}},
    {TAG_LAKE, 0, {"into a hut on stilts at the edge of the lake", "the hut", "Through the cracks one could see the water below"}},
};
static const struct stories_table shelter = {.columns = {"shelter", "the", "inside"}, STORIES_ROWS(shelters)};

static const struct stories_row feuds[] = {
    {0, 0, {" since {friend} had won the egg race with a glued egg", "\"The egg really was glued,\" {says friend}. \"I am sorry. "
        "I wanted so much to win, just once.\" \"Honey would have held better,\" {says hero}"}},
    {0, 0, {" since {friend} had told everyone that {hero} was afraid of geese",
        "\"I am afraid of them, too,\" {says friend}. \"That is why I said it of you.\" \"They do bite,\" {says hero}"}},
    {0, 0, {" since each of them claimed to have found the best climbing tree",
        "\"It has branches on both sides,\" {says friend}. \"We could have climbed it together all along,\" {says hero}"}},
    {0, 0, {" since a snowball with a stone in it had hit {hero} on the ear", "\"I did not know about the stone,\" {says friend}. "
        "\"I looked for it for an hour afterwards, I was so sorry.\" \"You should have said so,\" {says hero}"}},
    {0, 0, {", and neither of them could remember why", "\"Do you know what it was about?\" {asks friend}. \"No,\" {says hero}. "
        "\"It must have been something very important,\" {says friend}, and then they both had to laugh"}},
};
static const struct stories_table feud = {.columns = {"why", "talk"}, STORIES_ROWS(feuds)};

static const char *const shelter_text[] = {
    "{intro}",
    "[{Hero} got on well with everyone, except for {friend}, {friend.a} from the other end of the street.|"
    "Nearby lived {friend}, {friend.a}.|There was only one whom {hero} did not greet: {friend}, {friend.a}.] "
    "They had not spoken a word to each other{feud.why}.",
    "\n",
    "[{Day.one}, {hero} was on the way home from {spot} when the sky turned [black|as dark as slate].|"
    "{Day.one}, as {hero} was {spot.at}, [black clouds came up|thunder rolled over the land].|"
    "{Day.one}, a storm came up, quicker than anybody had expected.] "
    "{Hero} ran, and crept {shelter}. [?{shelter.inside}.] "
    "[There was somebody there already. It was {friend}.|And in the corner sat {friend}.|\"It is taken,\" said a voice. It was {friend}.]",
    "[They turned their backs on each other.|They sat as far apart as they could.|For a long time neither of them spoke.] "
    "[?Outside it roared and crashed.|The rain beat down like gravel.|Water ran past as if the sky had a hole.] "
    "[Then came a thunderclap, and when they looked, they were holding {hand}s.|It thundered so loudly that they both screamed.|"
    "The next flash was so near that they both ducked.] [In {his} bag {hero} found {a} {food}, a little squashed.|"
    "\"Are you hungry?\" {asks hero}, and took {a} {food} out of {his} bag.] "
    "[{He} broke it in two.|{He} thought for a moment, and gave {friend} the bigger half.|They shared it, crumb by crumb.]",
    "\n",
    "{feud.talk}. "
    "[They did not even hear the rain stop.|At last a ray of sun found them.] [?Over the land stood a rainbow, from one end to the "
    "other.|The world was dripping and shining.|Everything smelled new.] "
    "[They walked home together, through every puddle.|\"Tomorrow?\" {asks friend}. \"Tomorrow,\" {says hero}.|"
    "From then on they met at {shelter.the} whenever it rained.] [?A roof makes neighbours, and a storm makes friends.|{glad hero}|"
    "{sleeps hero}]",
    NULL,
};
const struct stories_plot stories_plot_shelter = {
    .name = "shelter",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days, .any = TAG_FAIR},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "spot", .table = &stories_spots},
        {.name = "shelter", .table = &shelter},
        {.name = "feud", .table = &feud},
        {.name = "food", .table = &stories_foods},
    },
    .text = shelter_text,
};
