/* Plots in which a whole village has a part: a dry well, a newcomer, a winter, a bell. */
#include "stories_plots.h"
#include "stories_words.h"

/* clang-format off */

/* ---- the well is dry; somebody small knows where water is ---- */

static const struct stories_row well_signs[] = {
    {0, 0, {"{Hero} had often noticed a patch of grass {spot1.at} that stayed green all year round.",
        "\"Where grass is green, there is water below,\" {says hero}.", "patch of green grass"}},
    {0, 0, {"{Hero} liked to watch the bees, which all flew in the same direction, past {spot1}.",
        "\"Bees drink, too,\" {says hero}. \"They must know where.\"", "crack into which the bees crept"}},
    {0, 0, {"There was one frog in the village, and {hero} said good evening to it whenever {he} met it near {spot1}.",
        "\"A frog has to be wet,\" {says hero}. \"Let us see where it goes.\"", "stone under which the frog lived"}},
    {0, 0, {"Near {spot1} there was a flat stone, and when {hero} laid an ear on it, {he} could hear it murmur.",
        "\"The stone murmurs,\" {says hero}. \"There is something running under it.\"", "flat stone that murmured"}},
    {0, 0, {"In the morning a little mist always hung {spot1.at}, even when it was dry everywhere else, and {hero} had often wondered "
        "about it.", "\"Mist is water that has got up early,\" {says hero}. \"It must sleep there.\"", "place where the mist hung"}},
};
static const struct stories_table well_sign = {.columns = {"clue", "idea", "mark"}, STORIES_ROWS(well_signs)};

static const struct stories_row well_searches[] = {
    {0, 0, {"went up and down with a forked stick, until it pointed at {mine.his} own foot"}}, {0, 0, {
        "dug a hole so deep that {mine.he} had to be pulled out on a rope"}},
    {0, 0, {"said that one need only wait for rain, and looked at a sky without a cloud"}}, {0, 0, {
        "wanted to send to the king for a hundred barrels"}},
    {0, 0, {"hammered on the pump until the handle came off"}},                              {0, 0, {
        "looked for the spring in an old book, and found a recipe for plum cake"}},
};
static const struct stories_table well_search = {.columns = {"how"}, STORIES_ROWS(well_searches)};

static const char *const well_text[] = {
    "{intro} {sign.clue}",
    "\n",
    "[That summer it did not rain for [nine|ten|seven] weeks.|One summer the sun forgot to go away.|"
    "It was the driest summer that anyone could remember.] [?The beans dried up on their poles.|Even the shadows looked thirsty.] "
    "[One morning|And one evening|Then, one day,] the bucket came up from the well, and there was nothing in it but [sand|dust|"
    "a surprised newt].",
    "{Mine}, the {mine.kind}, {search.how}. [?\"We shall have to move away,\" said {other}, the {other.kind}.|"
    "{Folk} stood around the well and did not know what to do.] "
    "[Then {hero} raised a hand.|{Hero} pulled at {mine}'s sleeve.|But {hero} stepped forward.] "
    "{sign.idea} [?\"A child's dream,\" {says mine}. \"It costs nothing to look,\" {says hero}.|Some of them smiled. "
    "\"We can only be wrong,\" {says hero}.]",
    "\n",
    "[So they took spades and followed {him}|Nobody had a better idea, so they went with {him}|"
    "{Hero} walked in front, and they all came after {him}] to the {sign.mark}. They dug. [?\"You see?\" {says mine}.|"
    "\"Only a little deeper,\" {says hero}.|{Mine} was about to throw down the spade.] "
    "Then the earth grew [dark|damp], and [something gurgled|there was a bubbling sound], and a spring [jumped out|leaped up|"
    "ran over their shoes], as [cold as snow|clear as glass|cold as morning].",
    "\n",
    "[They drank from their hats and hands.|{Folk} danced in it with their shoes on.|Somebody began to sing, and they all sang.|"
    "{Mine} held out the first cup to {hero}.] \"[How did you know|How did you find it]?\" {asks mine}. "
    "\"[I only looked|One sees a lot when one is not looking for anything|I have always wondered about it],\" {says hero}. "
    "[?They built a wall around the spring, and it has {hero}'s name to this day.|{glad hero}|{close}]",
    NULL,
};
const struct stories_plot stories_plot_well = {
    .name = "well",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns, .any = TAG_HILL | TAG_WOOD | TAG_FIELD},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "mine", .role = STORIES_CRAFT},
        {.name = "other", .role = STORIES_CRAFT},
        {.name = "spot1", .table = &stories_spots},
        {.name = "sign", .table = &well_sign},
        {.name = "search", .table = &well_search},
    },
    .text = well_text,
};

/* ---- somebody new does things differently ---- */

static const struct stories_row news[] = {
    {0, 0, {"{friend.he} ate {friend.his} soup with salt and honey", "all the bread was burned, and there was nothing but thin soup",
        "stirred in a little salt and a little honey, and it tasted so good that they licked the bowls"}},
    {0, 0, {"{friend.he} walked barefoot even when it was cold", "the path was as smooth as glass with ice, and everyone slipped and fell",
        "took off {friend.his} boots and carried the medicine to old {elder} on bare feet, without slipping once"}},
    {0, 0, {"{friend.he} talked to every bird {friend.he} met", "old {elder}'s canary flew away and sat on the highest roof",
        "whistled something, very softly, and the bird came down and sat on {friend.his} hat"}},
    {0, 0, {"{friend.he} drew with chalk on every stone",
        "the great feast came, and it was so misty that the guests could not find the square",
        "drew white arrows on all the stones, and at each corner a laughing face, and all the guests arrived"}},
    {0, 0, {"{friend.he} always walked about with an umbrella, even in the sun",
        "the roof of the theatre began to leak in the middle of the play",
        "jumped up on the stage and held the umbrella over the king, and the play went on"}},
    {0, 0, {"{friend.he} sat on the roof at night and looked at the stars",
        "half the village was out gathering nuts and lost its way in the dark", "looked up at the stars, and led them all home"}},
    {0, 0, {"{friend.he} whistled instead of shouting", "old {elder}'s sheep ran off in a thunderstorm",
        "whistled with two fingers, so that it could be heard on the other side of the hill, and the sheep came back, one after the "
        "other"}},
};
static const struct stories_table news_of = {.columns = {"odd", "need", "deed"}, STORIES_ROWS(news)};

static const char *const newcomer_text[] = {
    "{intro}",
    "[{Day.one}, a cart [piled high with furniture|full of boxes] stopped before the empty house, and with it came|"
    "{Day.one}, there was smoke again from the chimney of the empty house, and at the window stood|"
    "{Day.one}, strangers moved into the empty house down the street, and with them came] "
    "{friend}, {friend.a} from [far away|over the sea|behind the mountains].",
    "\n",
    "{Friend} spoke [a little slowly|with a strange accent|very softly], and {news.odd}. "
    "[\"How odd,\" said the others, and nobody played with {friend.him}.|The other children put their heads together and giggled.|"
    "\"That is not how we do it here,\" said {elder}, {elder.a}.] "
    "[{Hero} had giggled, too. But then {he} saw|{Hero} did not join in. {He} had seen] how {friend} sat [on the steps, all alone|"
    "behind the window and looked out]. ",
    "So {hero} went over[ with two apples| with a bag of cherries|]. \"[Why do you do that|"
    "Will you show me how you do it]?\" {asks hero}. {Friend} [smiled|turned red]. \"[At home we all do it|"
    "My {relative} taught me],\" {says friend}. "
    "[?They talked until the lamps were lit.|From then on they met every day.|{Hero} tried it, and it was quite nice.]",
    "\n",
    "[Then, one day,|A few weeks later|And then it happened:] {news.need}. [?Nobody knew what to do.] "
    "[\"{Friend} can help,\" {says hero}.|\"Let {friend} try!\" {cries hero}.|{Hero} ran and fetched {friend}.] "
    "And {friend} {news.deed}.",
    "\n",
    "[?\"Well,\" said {elder}, and scratched {elder.his} head, \"that is how we should do it here, too.\"|"
    "First there was silence, and then everyone clapped.|They carried {friend} around the square three times.] "
    "[The next day there were [five|seven] children on the steps, and each wanted to learn it.|"
    "Since then nobody {town.in} has called {friend} odd.|From that day on the house was never called the empty house again.] "
    "[?\"You were the first who asked,\" said {friend} to {hero}.|Strange is only what one has not asked about.|{glad hero}|{close}]",
    NULL,
};
const struct stories_plot stories_plot_newcomer = {
    .name = "newcomer",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "news", .table = &news_of},
    },
    .text = newcomer_text,
};

/* ---- snowed in; what was prepared in play shows the way ---- */

static const struct stories_row snow_marks[] = {
    {0, 0, {"tied red wool to the branches, all along the way to {spot1}, because it looked pretty",
        "The path was gone, but on the branches hung the red wool, from tree to tree", "the red wool"}},
    {0, 0, {"hung little bells on the fence posts, all the way to the last house, because {he} liked the sound",
        "Nothing could be seen, but the bells rang in the wind, one after the other", "the bells"}},
    {0, 0, {"put up snowmen along the road, each with one arm stretched out",
        "Everything was white, but there stood the snowmen and pointed the way", "the snowmen"}},
    {0, 0, {"taught {his} dog to find a glove, wherever {he} hid it in the snow",
        "The road was gone, but the dog put its nose down and did not hesitate for a moment", "the dog"}},
    {0, 0, {"painted all the milestones yellow, since there was some paint left over",
        "The road was gone, but the yellow stones still looked out", "the yellow stones"}},
};
static const struct stories_table snow_mark = {.columns = {"play", "way", "what"}, STORIES_ROWS(snow_marks)};

static const struct stories_row snow_needs[] = {
    {0, 0, {"there was no more flour in the whole village", "a sack of flour", "By evening every street smelled of bread"}},
    {0, 0, {"{elder}, {elder.a}, lay ill with fever", "the doctor", "By morning {elder} asked for soup"}},
    {0, 0, {"the last oil had been burned, and people sat in the dark", "a barrel of oil", "By nightfall there was light in every window"}},
    {0, 0, {"the cows had eaten the last of the hay", "a load of hay", "In the morning there was milk again"}},
    {0, 0, {"{friend} had gone to the next village and had not come back", "{friend}", "{Friend} was given dry socks and cocoa"}},
};
static const struct stories_table snow_need = {.columns = {"need", "cargo", "end"}, STORIES_ROWS(snow_needs)};

static const char *const snow_text[] = {
    "{intro}",
    "[That winter the snow came early|In December it began to snow], and {hero} played outside with {friend}, {his} best friend. "
    "{He} {mark.play}. "
    "[\"What is that good for?\" {asks friend}. \"For fun,\" {says hero}.|\"You and your ideas,\" {says friend}.]",
    "\n",
    "Then [the great snow came|a snowstorm came], [and it did not stop for three days|"
    "and it snowed until only the chimneys could be seen]. ^{need.need}. "
    "\"[Somebody has to go|One of us must go to the next village],\" said the mayor, \"but where is the road?\"",
    "\"I can find it,\" {says hero}. So {hero} put on {his} [skis|snowshoes], took a sledge, and went out. "
    "[?The wind took {his} breath away.|The snow came up to {his} chest.|After ten steps the village was gone.] {mark.way}. "
    "[?{Hero} only had to follow.|{Hero} laughed aloud, alone in all that white.]",
    "\n",
    "[It was nearly dark|The lamps had just been lit|They had almost given up hope] when {he} came back, [with ice in {his} hair|"
    "with cheeks like apples|with snow up to {his} ears], and brought {need.cargo}. {need.end}.",
    "\"It was {mark.what},\" {says hero}. [\"What is done for fun,\" said the mayor, \"is sometimes good for more.\"|"
    "And nobody {town.in} ever again asked what it was good for.|{glad hero}|{sleeps hero}]",
    NULL,
};
const struct stories_plot stories_plot_snow = {
    .name = "snow",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns, .any = TAG_HILL | TAG_WOOD | TAG_FIELD},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "spot1", .table = &stories_spots},
        {.name = "mark", .table = &snow_mark},
        {.name = "need", .table = &snow_need},
    },
    .text = snow_text,
};

/* ---- birds nest in a place that is needed ---- */

static const struct stories_row nests[] = {
    {0, 0, {"in the great bell of the tower", "swallows", "the bell could not be rung",
        "{elder} walked through the streets with a frying pan and beat the hours on it"}},
    {0, 0, {"in the letter box of the post office", "robins", "no letter could be posted",
        "{hero} went from house to house with a bag and collected the letters"}},
    {0, 0, {"in the tuba of the village band", "wrens", "the band could not play its deepest notes",
        "{elder} hummed the deep notes, with a pillow under {elder.his} coat"}},
    {0, 0, {"in the mayor's best hat, which hung on a nail in the hall", "wagtails", "the mayor had to go bareheaded",
        "{hero} held an umbrella over the mayor whenever it rained"}},
    {0, 0, {"on the weathercock", "storks", "the weathercock could not turn",
        "{hero} ran to the corner every morning with a wet finger and called out the wind"}},
    {0, 0, {"on the driver's seat of the only cart in town", "blackbirds", "the cart could not be driven",
        "everybody carried what they needed, and {hero} led the donkey with the heavy sacks"}},
    {0, 0, {"in the chimney of the bakery", "jackdaws", "the oven could not be lit",
        "all {town} ate pancakes, and nobody complained very much"}},
};
static const struct stories_table nest = {.columns = {"where", "birds", "result", "instead"}, STORIES_ROWS(nests)};

static const char *const nest_text[] = {
    "{intro}",
    "[{Day.one}, {he} heard a rustling where there had never been any.|{Day.one}, {hero} looked up and saw something odd.|"
    "{Day.one}, there was a great to-do.] A pair of {nest.birds} had built their nest {nest.where}, and [in it lay four eggs|"
    "in it lay five eggs|there were already three eggs in it]. [So|And so|Therefore] {nest.result}.",
    "\n",
    "\"[Away with the nest|They must go, and that today],\" said {strict}, the {strict.kind}. [?\"Order is order.\"|"
    "\"Where would we be if everyone did as they liked?\"] "
    "\"[The eggs would grow cold|They cannot find another place now|It is only until they can fly],\" {says hero}. "
    "\"[Three weeks, that is all|Only three weeks].\" "
    "[?They argued until noon.] [\"Who was ever harmed by waiting?\" asked {elder}, {elder.a}.|"
    "In the end {elder}, {elder.a}, spoke up. \"I am eighty years old. I can wait three weeks.\"|"
    "\"When I was young,\" said {elder}, {elder.a}, \"we waited longer for less.\"] So it was decided.",
    "\n",
    "And so, for three weeks, {nest.instead}. [?Nobody slammed a door.|{Folk} walked past on tiptoe.|Even the dogs spoke softly.] "
    "[\"They have hatched!\" {hero} cried one morning, and even {strict} came to look.|"
    "When the first of the young looked over the edge, all {town} held its breath.|{Strict} came, too, at night, when {strict.he} "
    "thought that nobody saw {strict.him}, and brought worms.]",
    "\n",
    "[At last|On the twenty-second day|One fine morning] the young {nest.birds} stood on the edge, [one next to the other|"
    "with trembling wings], and then they flew over the roofs and away. [?{Hero} waved until {his} arm was tired.|Everybody cheered.|"
    "{Strict} blew {strict.his} nose.] "
    "[?It was strange how empty the place looked now.|\"Now all is in order again,\" {says strict}, and sounded a little sad.|"
    "Then all was as it had been before, only nicer.] "
    "[?The next spring somebody had hung up a little sign: \"To let, for {nest.birds} only.\" It was in {strict}'s writing.|"
    "Who makes room for small things gets a big joy.|{glad hero}|{close}]",
    NULL,
};
const struct stories_plot stories_plot_nest = {
    .name = "nest",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days, .any = TAG_MILD | TAG_WARM},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "strict", .role = STORIES_CRAFT},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "nest", .table = &nest},
    },
    .text = nest_text,
};
