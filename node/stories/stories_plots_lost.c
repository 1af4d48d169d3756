/* Plots about what is lost, found, lent and given back. */
#include "stories_plots.h"
#include "stories_words.h"

/* clang-format off */

/* ---- something is lost; what the story told before says where it is ---- */

static const struct stories_row lost_causes[] = {
    {TAG_SMALL, 0, {
        "[There was a hole in the pocket of {his} coat, but {hero} kept forgetting to mend it.|"
        "The pocket of {his} old coat had a little hole, but {he} thought nothing of it.]",
        "Then {friend} put a {friend.hand} into the pocket of {hero}'s coat. \"There is a hole in it!\" {says friend}. "
        "{Hero} felt along the seam, and deep down in the lining [lay|was] the {thing}. "
        "[?It had been with {him} the whole time.|It had never been lost at all.]",
        "[That evening|The same evening] {hero} [took a needle and mended the hole, stitch by stitch|"
        "mended the hole with strong thread]. \"[A small hole can swallow a great treasure|"
        "A stitch today saves a search tomorrow],\" {says hero}."}},
    {TAG_SHINY, 0, {
        "[A magpie lived in the elm near by, and it loved everything that shone.|"
        "In the tall elm lived a magpie, and whenever something glittered, it put its head on one side.]",
        "Then something [flashed|glittered|twinkled] high up in the elm. \"The magpie!\" {cries hero}. {He} climbed up, "
        "while {friend} [held {friend.his} breath|told {him} where to put {his} feet]. There in the nest, between a [tin lid|"
        "bit of glass] and "
        "a [bent fork|hairpin], lay the {thing}.",
        "[So that the magpie should not be sad, {hero} left a shiny [spoon|nail] in its place.|{Hero} was not angry with the magpie. "
        "{He} gave it a shiny [spoon|nail] in exchange.] [?The bird looked at it with one eye, then with the other, and was content.|"
        "\"Now we both have something bright,\" {says hero}.]"}},
    {TAG_HUMAN, 0, {
        "[Next door lived a puppy who dug holes from morning till night.|The neighbours had a new puppy, and it buried everything that "
        "it could carry.]",
        "Then {friend} [pointed to|saw] a fresh little heap of earth under the rose bush. Beside it sat the puppy, [wagging its tail|"
        "with mud on its nose]. "
        "{Hero} dug with both hands, and there was the {thing}, [dirty but whole|wet and muddy, but not broken].",
        "{Hero} could not be angry. {He} washed the {thing} [at the pump|in a bucket] and threw a stick for the puppy to bury instead. "
        "[?\"Everyone hides what they love,\" {says friend}.|\"It only wanted to keep it safe,\" {says friend}.]"}},
    {TAG_LIGHT, 0, {
        "[At night {he} put it on the window sill, even when the wind blew.|{His} {relative} had told {him} never to leave it on the "
        "window sill, but {he} did.]",
        "\"The wind has been strong,\" {says friend}. \"Which way did it blow?\" {Hero} held up a wet finger. They followed the wind "
        "past {spot4}, and there, on a thorn bush, hung the {thing}[, waving at them|, a little torn but safe|].",
        "{Hero} carried it home under {his} coat. From then on {he} shut the window every night, [and the wind had to play with "
        "something else|"
        "and {friend} came by to remind {him}]. [?\"The wind likes what we like,\" {says friend}.]"}},
    {TAG_SEA, 0, {
        "One day {he} laid it on a flat rock by the sea and went to look for crabs, [and the tide came in|and forgot all about it].",
        "\"When did you have it last?\" {asks friend}. {Hero} thought of the flat rock, and of the tide. "
        "\"What the sea takes, it often brings back,\" {says friend}. "
        "So they waited until the water [went out|drew back], and there in the seaweed, [clean and wet|"
        "shining with salt], lay the {thing}.",
        "\"Thank you, sea,\" {says hero}, and the sea [sighed|murmured something] and rolled over. "
        "[?After that, {he} never again laid anything down where the rocks were wet.]"}},
    {0, 0, {
        "One day {he} helped {elder.a} {called} {elder} to carry a heavy basket home. {He} put everything down to have both {hand}s free.",
        "Just then there was a knock at the door. It was {elder}. \"You left this with me when you carried my basket,\" {says elder}, "
        "and held out the {thing}. "
        "\"It was under the [apples|onions|potatoes].\"",
        "[?{Hero} hugged {elder}, and then {friend}, and then {elder} once more.] \"[A good deed finds its way home|"
        "Who helps others is helped in turn],\" {says elder}. "
        "[?Then all three of them ate the apples.|They sat together until it grew dark.]"}},
    {0, 0, {
        "{He} had a little brother who had just learned to walk, and who [put everything into something else|"
        "hid whatever he found in boots and jugs].",
        "Just then the little brother came by, pulling one of their father's boots on a string. Something rattled inside. "
        "{Friend} turned the boot over, "
        "and out fell [a potato, two corks|a wooden spoon, three nuts] and the {thing}.",
        "[?\"Mine!\" said the little brother, and everyone laughed.] {Hero} gave him [a big cork|an old spoon] for his boot, "
        "and from then on {he} [always looked there first|kept the {thing} on the highest shelf]."}},
};
static const struct stories_table lost_cause = {.columns = {"clue", "find", "end"}, STORIES_ROWS(lost_causes)};

static const char *const lost_text[] = {
    "{intro}",
    "[{He} had {a} {thing.full} {from}, and {he} {thing.love}.|{His} greatest treasure was {a} {thing.full}. {He} {thing.love}.|"
    "Of all the things {he} owned, {he} loved {his} {thing.full} best. {He} {thing.love}.]",
    "{cause.clue}",
    "\n",
    "[{Day.one}, the {thing} was gone.|But {day.one} {hero} reached for the {thing}, and it was not there.|"
    "Then, {day.one}, {hero} could not find the {thing} anywhere.] [?{day.sky}]",
    "[?{He} looked under the bed and behind the door.|{He} looked in every corner, and then in every corner again.|"
    "{He} turned out all {his} pockets and looked into all {his} boots.]",
    "[?\"Where is my {thing}?\" {cries hero}.|\"My {thing} is gone!\" {cries hero}.|\"Who has seen my {thing}?\" {asks hero}.]",
    "[{His} best friend {friend} came to help|{Friend}, {friend.a} from next door, came to help|{His} friend {friend} came at once]. "
    "[?\"We will find it,\" {says friend}.|\"Do not cry,\" {says friend}.|\"Four eyes see more than two,\" {says friend}.|"
    "\"Let us look together,\" {says friend}.]",
    "[They|The two of them|Together they] looked {spot1.at}, {spot2.at} and {spot3.at}, but [all they found was|"
    "they found nothing except] {trifle}.",
    "\n",
    "{cause.find}",
    "\n",
    "{cause.end}",
    "[?{glad hero}|{sleeps hero}|{close}]",
    NULL,
};
const struct stories_plot stories_plot_lost = {
    .name = "lost",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "thing", .table = &stories_things, .any = TAG_SMALL | TAG_LIGHT},
        {.name = "spot1", .table = &stories_spots},
        {.name = "spot2", .table = &stories_spots},
        {.name = "spot3", .table = &stories_spots},
        {.name = "spot4", .table = &stories_spots},
        {.name = "cause", .table = &lost_cause},
    },
    .text = lost_text,
};

/* ---- something borrowed is broken, and the truth is told ---- */

static const struct stories_row truth_accidents[] = {
    {TAG_SOFT, 0, {
        "[it caught on a nail|it caught on a thorn|it was shut in a door], and it tore with a [long|sad|nasty] little sound",
        "the tear", "mended the tear with a {accident.colour} patch", "the {accident.colour} patch", "torn", "[red|blue|yellow|green]"}},
    {TAG_LIGHT, 0, {
        "a gust of wind snatched it and hung it on a thorn bush, and it tore",
        "the tear", "mended the tear with {accident.colour} thread", "the {accident.colour} thread", "torn", "[red|blue|white|golden]"}},
    {TAG_HARD, 0, {
        "it slipped out of {his} {hand}s and fell on the stones with a [crack|sad little crack]",
        "the crack", "mended the crack with glue, and tied a {accident.colour} string around it", "the {accident.colour} string", "cracked",
        "[red|green|blue|yellow]"}},
    {TAG_METAL, 0, {
        "it slipped out of {his} {hand}s and rolled under a cart, and that gave it a dent as deep as a thumb",
        "the dent", "tapped out the dent with a {accident.colour} spoon, until it could hardly be seen",
        "the place where the dent had been", "dented", "[wooden|silver|big]"}},
    {TAG_SOFT, 0, {
        "{he} left it [on the grass|by the gate|on a wall] overnight, and in the morning all its colour had run",
        "the stain", "washed it, dried it, and painted a {accident.colour} over the stain", "the {accident.colour}", "spoiled by the rain",
        "[star|bird|small sun|flower]"}},
};
static const struct stories_table truth_accident = {.columns = {"how", "harm", "mending", "mark", "state", "colour"
}, STORIES_ROWS(truth_accidents)};

static const char *const truth_text[] = {
    "[{intro} {friendship friend}|{Hero} and {friend} lived next door to each other {town.in}, {town.detail}. "
    "{Hero} was {hero.a}, and {friend} was {friend.a}.|{Hero} and {friend} were neighbours {town.in}, {town.kind}. "
    "{Hero} was {hero.a} {hero.habit}.]",
    "[{Friend} owned {a} {thing.full}, and there was nothing like it far and wide.|Nothing was dearer to {friend} than {friend.his} "
    "{thing.full}.|"
    "{Friend} had {a} {thing.full}, and {hero} thought it the most beautiful {thing} in the world.]",
    "\n",
    "[{Day.one}, {hero} asked, \"May I borrow your {thing}?\" \"[Until tomorrow|Gladly|For a day],\" {says friend}.  |"
    "\"You may borrow my {thing} for a day,\" {says friend} {day.one}. \"But take good care of it.\"|"
    "{Day.one}, {friend} lent {hero} the {thing}. \"Take good care of it,\" {says friend}.]",
    "[For a while all was well, but then|{Hero} was very careful, but|All went well until the evening. But then] {accident.how}.",
    "\n",
    "[{Hero}'s heart sank.|{Hero} grew hot and cold.|{Hero} stood there and could not move.] {He} [hid the {thing} under {his} bed|"
    "wrapped the {thing} in a cloth and hid it]. "
    "[?At supper {he} could not eat.|\"I could say that I lost it,\" {he} thought. \"I could say that [a fox|the wind|a stranger] "
    "took it.\"|"
    "\"Perhaps {friend} will forget about it,\" {he} thought, but {he} knew that was not so.] "
    "[?The secret sat in {his} stomach like a stone.|Every fib {he} thought of was heavier than the last.|"
    "All night long {he} saw {friend}'s face before {him}.]",
    "\n",
    "[In the morning|As soon as it was light|Before breakfast] {hero} [ran|went] to {friend}'s door. "
    "\"Your {thing} is {accident.state}, [and I am sorry|and it is my fault],\" {says hero}. "
    "{Friend} [looked at {accident.harm} for a long time|looked at {accident.harm} and swallowed|"
    "looked at {accident.harm}, and then at {hero}]. \"[I am sad about the {thing},\" {says friend}. "
    "\"But [a friend who tells the truth is worth more|I am glad that you told me]|"
    "A {thing} can be mended,\" {says friend}. \"A lie cannot|It must have been hard to tell me,\" {says friend}. \"Thank you].\"",
    "[Together they|The two of them sat down and|That same day they] {accident.mending}. "
    "[From then on, whenever {friend} saw {accident.mark}, {friend.he} [smiled|thought of {hero}].|"
    "\"Now it is better than before,\" {says friend}, and touched {accident.mark}.|{glad hero}|The stone in {hero}'s stomach was gone.|"
    "And {hero} ate a very large [breakfast|supper].|{sleeps hero}]",
    NULL,
};
const struct stories_plot stories_plot_truth = {
    .name = "truth",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "thing", .table = &stories_things, .any = TAG_HARD | TAG_METAL | TAG_SOFT},
        {.name = "accident", .table = &truth_accident},
    },
    .text = truth_text,
};

/* ---- a stray animal belongs to somebody ---- */

static const struct stories_row stray_pets[] = {
    {0, 0, {"dog", "[brown|white|spotted|shaggy]", "wagged its tail", "barked", "a bone"}},
    {0, 0, {"cat", "[grey|ginger|black|striped]", "rubbed against {his} legs", "purred", "a saucer of milk"}},
    {0, 0, {"goat", "[white|black|brown]", "nibbled at {his} sleeve", "bleated", "a cabbage leaf"}},
    {0, 0, {"donkey", "[grey|small|brown]", "pushed its soft nose into {his} hand", "brayed", "a carrot"}},
    {0, 0, {"goose", "[white|grey|fat]", "looked {him} in the eye", "honked", "a crust of bread"}},
    {0, 0, {"parrot", "[green|red|blue]", "sat down on {his} shoulder", "squawked", "a nut"}},
    {0, 0, {"lamb", "[white|black|woolly]", "pressed itself against {his} knee", "bleated", "a bottle of milk"}},
    {0, 0, {"pony", "[brown|white|dappled]", "blew warm air into {his} hair", "whinnied", "an apple"}},
    {0, 0, {"duck", "[white|brown|green-headed]", "pecked at the buttons of {his} coat", "quacked", "some bread"}},
    {0, 0, {"hen", "[brown|white|speckled]", "hopped into {his} basket", "clucked", "a handful of corn"}},
};
static const struct stories_table stray_pet = {.columns = {"pet", "adj", "follows", "voice", "treat"}, STORIES_ROWS(stray_pets)};

static const char *const stray_text[] = {
    "{intro}",
    "[{He} wanted an animal of {his} own.|{He} had always wished for a {pet} of {his} own.|"
    "{He} had no brothers and no sisters, and sometimes {he} was lonely.]",
    "\n",
    "[{Day.one}, as {hero} came past {spot}, {a} {pet.adj} {pet} came up to {him} and {pet.follows}.|"
    "{Day.one}, {a} {pet.adj} {pet} stood {spot.at}. When {hero} [stopped|came near|held out a hand], it {pet.follows}.] "
    "[?There was nobody with it.|It seemed to be all alone.] [Around its neck was a [red|blue|green] ribbon.|It had a [red|blue|green] "
    "ribbon on its leg.]",
    "\"[You shall stay with me|You are mine now|I will take care of you],\" {whispers hero}. "
    "{He} gave it {pet.treat}, and it {pet.voice} [happily|for joy].",
    "\n",
    "[But that night {hero} lay awake.|But in the evening {hero} looked at the ribbon again.] "
    "[?Somebody had tied that ribbon with care.|A ribbon does not tie itself.] \"Somewhere somebody is [crying|calling for you|"
    "looking everywhere],\" {he} thought, and {his} heart grew heavy.",
    "[So the next day|In the morning] {hero} [went from door to door with the {pet}|led the {pet} from house to house|"
    "walked through the whole of {town} with the {pet}]. "
    "[At the last house|At the very end of the road|Where the road ended] {a} [|old ]{owner.kind} {called} {owner} opened the door. "
    "\"My {pet}!\" {cries owner}. [?The {pet} {pet.voice} and ran to {owner.him}.|The {pet} {pet.voice} as loudly as it could.] "
    "[?\"I tied that ribbon on myself.\"|\"I have not slept since it ran away.\"]",
    "\n",
    "[{Hero} swallowed hard.|It was right, but it was not easy.|{Hero} was glad and sad at the same time.] "
    "\"[You are an honest {hero.kind}|You could have kept it|That was not easy for you, I can see],\" {says owner}. "
    "\"[Come to see us every day.|Come as often as you like.|A {pet} can have two friends.]\"",
    "[{Hero} came every day after that, and the {pet} {pet.voice} as soon as it heard {his} step.|And {hero} was never lonely again.|"
    "And in spring {owner} gave {him} a little {pet} of {his} own.|{Hero} had given away a {pet} and found two friends.]",
    NULL,
};
const struct stories_plot stories_plot_stray = {
    .name = "stray",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "owner", .role = STORIES_CRAFT},
        {.name = "pet", .table = &stray_pet},
        {.name = "spot", .table = &stories_spots},
    },
    .text = stray_text,
};

/* ---- an old map leads to a treasure that is none ---- */

static const struct stories_row map_treasures[] = {
    {0, 0, {"the spade knocked on a box",
        "In the box lay a letter: \"Who finds this has good eyes and a good friend. There is no greater treasure.\"",
        "They put the letter back, and added their own names to it."}},
    {0, 0, {"the spade rang on a flat stone",
        "Under the stone bubbled a tiny spring, [cold and clear|as clear as glass]. They drank, and it was the best water in the world.",
        "Since then they have gone there on every hot day, and have told nobody, or nearly nobody."}},
    {0, 0, {"the spade broke into a hollow under a root", "It was empty. But when they turned around, they saw the whole of {town} "
        "below them, [golden in the evening sun|as small as a toy].",
        "\"Whoever drew the map,\" {says friend}, \"wanted us to see this.\""}},
    {0, 0, {"the spade struck a small tin", "In the tin were [seven|nine|twelve] seeds, wrapped in paper. "
        "They planted them on the spot, and in summer [poppies|sunflowers|blue flowers] stood there as tall as they were.",
        "They saved [seven|nine|twelve] of the new seeds, put them into the tin, and buried it again for the next one."}},
    {0, 0, {"the spade knocked on a wooden chest", "In the chest lay a [ball, a top and a wooden sword|"
        "kite, a drum and a wooden horse]. \"Somebody hid his toys here and grew up,\" {says friend}.",
        "They played with them until dark, and before they went home, each of them put a toy of their own into the chest."}},
};
static const struct stories_table map_treasure = {.columns = {"lid", "inside", "end"}, STORIES_ROWS(map_treasures)};

static const char *const map_text[] = {
    "{intro}",
    "[{Day.one}, {he} was tidying up, and found|Behind a loose board at home, {day.one}, {he} found|"
    "{Day.one}, between two old books, {he} found] a map.",
    "[?It was yellow and had a bite out of one corner.|It was folded eight times and smelled of dust.|It was so old that it crackled.] "
    "A [red|black|blue] line ran from {spot1} to {spot2}, and from there to a cross.",
    "\n",
    "\"[A treasure!|Look at that cross!|This must be a treasure map!]\" {cries hero}, and ran to {friend}, {friend.a} from next door. "
    "\"[I will bring a spade|I will carry the spade|Wait, I need my boots],\" {says friend}, \"and we share everything.\" ",
    "At {spot1} they [found an arrow scratched into a stone|counted thirty steps, as the map said|turned left, as the map said|"
    "found a mark in the bark of a tree]. "
    "At {spot2} the line [went through thorns and nettles|led through deep mud|went up and up|"
    "turned around three times], and [both of them lost a boot|they scratched their noses|they had to rest twice|"
    "{friend} tore {friend.his} coat]. "
    "[?\"Shall we turn back?\" {asks hero}. \"Not so close to the cross,\" {says friend}.|\"I am tired,\" {says friend}. "
    "{Hero} took the spade. \"It cannot be far,\" {says hero}.|\"The map is upside down,\" {says friend}, and they had to begin again.]",
    "\n",
    "[At last they stood where the cross was.|Then, at last, they came to the place with the cross.|"
    "The sun was low when they found the right place.] They dug [until their {hand}s hurt|by turns|and dug|"
    "without a word], and then {treasure.lid}. {treasure.inside}",
    "{treasure.end}",
    "[?{glad hero}|{close}|And the map is still there, behind its board, waiting.|\"We shared everything,\" {says hero}, \"so it is "
    "twice as much.\"]",
    NULL,
};
const struct stories_plot stories_plot_map = {
    .name = "map",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days, .any = TAG_FAIR},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "spot1", .table = &stories_spots},
        {.name = "spot2", .table = &stories_spots},
        {.name = "treasure", .table = &map_treasure},
    },
    .text = map_text,
};
