/* Plots of quiet things: gardens, nights, promises, seeds, songs. */
#include "stories_plots.h"
#include "stories_words.h"

/* clang-format off */

/* ---- something frightening in the night is something small ---- */

static const struct stories_row night_noises[] = {
    {0, 0, {"scratch, scratch, scratch", "a giant with long nails", "a branch that the wind pushed against the shutter",
        "tied the branch back with a ribbon"}},
    {0, 0, {"tap, tap, tap", "a skeleton at the door", "a woodpecker that had mixed up day and night",
        "put a lump of cheese on the sill, and after that it tapped at noon"}},
    {0, 0, {"hoo, hoo, hoo", "a ghost in a long white shirt", "a young owl that sat on the chimney and was more afraid than they were",
        "said good night to the owl, and the owl said \"Hoo\""}},
    {0, 0, {"drip, drip, drip", "a sea monster climbing the stairs", "a drop of rain that fell into a bucket, again and again",
        "laid a sponge in the bucket, and there was peace"}},
    {0, 0, {"snuffle, snuffle, snort", "a wild boar as big as a house", "a hedgehog with its nose in a heap of fallen pears",
        "laid the ripest pear on a leaf for it, and it ate more quietly"}},
    {TAG_HUMAN, 0, {"thump, thump, thump", "a robber with a wooden leg", "the cat, who was chasing an apple down the stairs",
        "took away the apple and gave the cat a ball of wool"}},
    {0, 0, {"creak, creak, creak", "a witch in a rocking chair", "the garden gate, which had not been oiled since spring",
        "rubbed a bit of butter on the hinge, and the gate was still"}},
    {0, 0, {"whoo, whistle, whoo", "a dragon with a cold", "an empty bottle on the fence that the wind was blowing on",
        "laid the bottle in the grass and wished the wind good night"}},
    {0, 0, {"rustle, rustle, crunch", "a wolf eating bones", "a family of mice having supper in the nut basket",
        "left them seven nuts and carried the basket inside"}},
};
static const struct stories_table night_noise = {.columns = {"noise", "fear", "truth", "cure"}, STORIES_ROWS(night_noises)};

static const char *const night_text[] = {
    "{intro}",
    "[{Night}, when everyone was asleep|{Night}, when the moon was behind a cloud|{Night}, long after bedtime], {hero} heard a noise: "
    "{noise}. {He} [pulled the blanket up to {his} nose|held {his} breath|sat up straight in bed]. "
    "\"[It is|That must be] {noise.fear},\" {he} thought, and {his} heart [beat like a drum|thumped in {his} ears].",
    "\n",
    "{He} [crept|tiptoed|ran on bare feet] to {friend}, {his} [cousin|friend][, who was staying for the week|]. \"[Wake up!|"
    "Are you awake?]\" {whispers hero}. \"There is {noise.fear} out there.\" "
    "[\"I am afraid,\" {whispers friend}. \"So am I,\" {says hero}.|\"Perhaps it will go away,\" {whispers friend}. "
    "But it did not go away.|\"I hear it, too,\" {whispers friend}.]",
    "\"[I want to know what it is|What we do not see is always bigger|We must look, or be afraid until morning],\" {says hero}. "
    "[They lit a candle|They took the lamp|{Hero} took the lamp and {friend} a broom] and went [{hand} in {hand}|step by step|"
    "on tiptoe] [to the door|out into the dark|towards the noise]. "
    "[?The shadows leaned over to look.|The floor was cold under their feet.]",
    "\n",
    "{Hero} [lifted|held up] the light. It was not {noise.fear}. It was {noise.truth}. "
    "They laughed [until they had to hold on to each other|so much that they woke the house|till the flame went out]. "
    "Then {hero} {noise.cure}.",
    "[\"In the dark everything is big,\" {says friend}. \"Then we must carry a light,\" {says hero}.|"
    "\"How small it is,\" {says friend}, \"now that we have looked at it.\"|\"{Noise.fear} would have been more of a story,\" {says "
    "friend}, and yawned.|{sleeps hero}|And whenever there was a noise in the night after that, {hero} got up and went to say hello.|"
    "They slept until the sun tickled them.]",
    NULL,
};
const struct stories_plot stories_plot_night = {
    .name = "night",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "noise", .table = &night_noise},
    },
    .text = night_text,
};

/* ---- a promise is kept although something else would be more fun ---- */

static const struct stories_row promises[] = {
    {0, 0, {"water the young {plant}s every evening", "the {plant}s", "watered the {plant}s, one can after the other",
        "all the other gardens were brown with thirst, but here the first buds had opened in the night"}},
    {TAG_HUMAN, 0, {"shut in the hens before dark", "the hens", "counted the hens and bolted the door",
        "there were fox tracks all around the hen house, and not a feather was missing"}},
    {TAG_HUMAN, 0, {"wind the great clock every evening", "the clock", "wound the great clock, sixty turns and one more",
        "the mail coach left at the stroke of six, and nobody missed it"}},
    {0, 0, {"turn the eggs of the old duck every evening while she was away", "the eggs",
        "turned the eggs, one by one, and covered them with down", "nine ducklings sat in the straw and took {him} for their mother"}},
    {0, 0, {"keep the fire in the stove alive", "the fire", "laid two logs on the fire and blew until they burned",
        "it had turned bitterly cold, and the only warm room was here, so everybody came in to thaw"}},
    {0, 0, {"feed the lame jackdaw every evening", "the jackdaw", "fed the jackdaw, bit by bit, and changed its bandage",
        "the bird spread its wings, flew once around {his} head, and came back to sit on {his} shoulder"}},
    {TAG_SEA | TAG_LAKE, 0, {"tie up the boats every evening", "the boats", "went from boat to boat and pulled every knot tight",
        "a storm had raged in the night, and all the boats lay safely in a row"}},
};
static const struct stories_table promise = {.columns = {"task", "short", "deed", "reward"}, STORIES_ROWS(promises)};

static const struct stories_row plants[] = {
    {0, 0, {"sunflower"}}, {0, 0, {"bean"}}, {0, 0, {"tomato plant"}}, {0, 0, {"pear tree"}}, {0, 0, {"rose"}}, {0, 0, {"cabbage"
        }}, {0, 0, {"pumpkin"}},
};
static const struct stories_table plant = {.columns = {"plant"}, STORIES_ROWS(plants)};

static const struct stories_row temptations[] = {
    {TAG_HUMAN, 0, {"a circus came, with a bear that could dance", "the circus"}},
    {TAG_HUMAN, 0, {"there was a fair, with a merry-go-round and burnt almonds", "the fair"}},
    {0, 0, {"there was to be a bonfire, with songs and baked potatoes", "the bonfire"}},
    {0, 0, {"there was a dance, and lanterns hung in all the trees", "the dance"}},
    {0, 0, {"everybody was going to swim by moonlight", "the swim"}},
    {TAG_HUMAN, 0, {"a puppet theatre came, for one evening only", "the theatre"}},
    {TAG_SEA | TAG_LAKE | TAG_RIVER, 0, {"there was to be a boat race by torchlight", "the race"}},
};
static const struct stories_table temptation = {.columns = {"what", "short"}, STORIES_ROWS(temptations)};

static const char *const promise_text[] = {
    "{intro}",
    "[When {elder}, {elder.a} next door, had to go away for a week, {hero} made a promise|"
    "{Elder}, {elder.a} who lived near by, had to go away for some days, and {hero} made {elder.him} a promise|"
    "\"I must go away,\" said {elder}, {elder.a} from next door. \"Whom can I trust?\" \"Me,\" {says hero}, and made a promise]: {he} "
    "would {promise.task}. "
    "[?\"Every evening,\" {says elder}. \"Every evening,\" {says hero}.|They shook {hand}s on it.|"
    "\"A promise is a promise,\" {says hero}.]",
    "\n",
    "[The first days were easy.|For three days all went well.|At first it was fun.] But on the [fourth|fifth] day, {temptation.what}. "
    "[{His} friend {friend} came running|{Friend}, {his} best friend, knocked at the window|"
    "{His} friend {friend} was already wearing {friend.his} best hat]. "
    "\"[Come along, or we shall be late|Come on, everybody is going|Hurry, it is about to begin],\" {says friend}. \"[I cannot|"
    "I must see to {promise.short} first],\" {says hero}. "
    "\"[Leave it for once|Nobody will notice|Do it tomorrow],\" {says friend}[.|, \"{elder} is far away.\"|"
    ", \"one evening does not matter.\"]",
    "[?{Hero} looked down the road, and then at {promise.short}.|{Hero} stood there with one foot inside and one foot outside.|"
    "{Hero} would have loved to go.] "
    "\"[I would know it|I gave my word|{Elder} trusts me],\" {says hero}. So {friend} [shrugged and went alone|"
    "ran off alone], and {hero} {promise.deed}. [?From far away {he} could hear laughter and singing.|"
    "When {he} was done, it was too late for {temptation.short}.]",
    "\n",
    "[In the morning|When morning came|The next day] {he} was glad, for {promise.reward}. "
    "[When {elder} came home, {elder.he} looked at {hero} for a long time.|Then {elder} came home and saw it all.] "
    "\"[I did not worry for a moment|I knew whom I could trust|You kept your word, though it was hard],\" {says elder}. "
    "[?And {elder.he} gave {him} the key to {elder.his} garden, to keep.|And {elder.he} made {him} and {friend} baked apples, until "
    "they could eat no more.|\"Next time I shall stay and help you,\" {says friend}.] [?{glad hero}|A kept promise is a warm coat.|"
    "{sleeps hero}]",
    NULL,
};
const struct stories_plot stories_plot_promise = {
    .name = "promise",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "plant", .table = &plant},
        {.name = "promise", .table = &promise},
        {.name = "temptation", .table = &temptation},
    },
    .text = promise_text,
};

/* ---- behind a wall is a garden that nobody has seen for years ---- */

static const struct stories_row garden_doors[] = {
    {0, 0, {"found a rusty key in the belly of an old watering can", "turned the key, and the lock groaned like an old man"}},
    {0, 0, {"saw a hedgehog disappear under the ivy and did not see it come out again",
        "pushed the ivy aside, and behind it was a small green door"}},
    {0, 0, {"threw a ball, and it flew over the high wall", "climbed up the old pear tree and let {himself} down on the other side"}},
    {0, 0, {"noticed that a robin always flew over the wall with straw in its beak",
        "found a loose stone where the robin had sat, and behind the stone a gap to crawl through"}},
};
static const struct stories_table garden_door = {.columns = {"clue", "way"}, STORIES_ROWS(garden_doors)};

static const struct stories_row flowers[] = {
    {0, 0, {"rose", "[white|red|yellow]", "roses"}}, {0, 0, {"lily", "[white|golden]", "lilies"}}, {0, 0, {"peony", "[red|pink]",
        "peonies"}}, {0, 0, {"iris", "[blue|purple]", "irises"}}, {0, 0, {"tulip", "[red|yellow|striped]", "tulips"}}, {0, 0, {"bluebell",
        "[tiny|shy]", "bluebells"}},
};
static const struct stories_table flower = {.columns = {"flower", "adj", "flowers"}, STORIES_ROWS(flowers)};

static const char *const garden_text[] = {
    "{intro}",
    "[Near {his} {hero.home} stood|At the end of the lane stood] a high [grey|stone|mossy] wall, and nobody knew what was behind it. "
    "[But {day.one} {hero}|Then, {day.one}, {hero}] {door.clue}. {He} {door.way}.",
    "\n",
    "It was a garden, or had been one. [On a stone bench stood a name: {elder}.|Under the ivy {he} found a stone with a name on it: "
    "{elder}.] "
    "[And among all the weeds one single {flower} was in bloom.|And in one corner, quite alone, bloomed a {flower.adj} {flower}.]",
    "[{Hero} told only {friend}, {his} best friend.|\"Can you keep a secret?\" {asks hero}, and took {his} friend {friend} along.] "
    "[Every day they pulled weeds and dug|All through the spring they weeded and raked|They came every afternoon with a rake] "
    "until [their backs hurt|they knew every worm by name]. [?Under the nettles they found strawberries.|"
    "Under the leaves they found a path of white stones.|Bit by bit the paths came back, and then the colours.]",
    "\n",
    "[\"Who was {elder}?\" {asks friend}. They asked everywhere, and at last|They asked the oldest people about the name, and at last] "
    "they learned that {elder} was the [quiet|bent] {elder.kind} who sat by the window all day. "
    "[They led {elder.him} through the door|The next day they fetched {elder.him}], and {elder} [wept a little|looked and looked]. "
    "\"[I planted that {flower} when I was as young as you|I thought that the {flower} had died long ago|"
    "When I could no longer work here, I locked the door],\" {says elder}.",
    "[From then on the door stood open.|Since then the three of them have sat there every evening.|"
    "And {elder} taught them the names of everything that grew.] [?{glad hero}|{close}|"
    "In summer there were {flower.flowers} on every table {town.in}.]",
    NULL,
};

const struct stories_plot stories_plot_garden = {
    .name = "garden",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days, .any = TAG_MILD | TAG_WARM},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "flower", .table = &flower},
        {.name = "door", .table = &garden_door},
    },
    .text = garden_text,
};

/* ---- somebody shy plays when it is needed ---- */

static const struct stories_row tunes[] = {
    {0, 0, {"A baby cried in the next house and would not stop, for one night and one day. Its mother was as pale as chalk.",
        "The baby drew a breath to scream, listened, and shut its mouth. Then it shut its eyes", "\"Who is that?\" whispered the mother"}},
    {0, 0, {"On the evening of the feast the fiddler fell ill, and the bride stood in the middle of the hall and had tears in her eyes.",
        "One foot began to tap, then ten, then a hundred. The bride dried her eyes and danced", "\"Who is playing?\" asked the guests"}},
    {0, 0, {"In a thunderstorm the cows broke out, and nobody could get near them, so wild were they with fear.",
        "The first cow raised her head, and then another. Slowly they came out of the rain and stood around {hero} in a ring",
        "\"Well, I never,\" said the herdsman"}},
    {0, 0, {"{Friend} had a fever and could not sleep, and not even honey helped.",
        "{Friend} stopped tossing about. {Friend.he} breathed more and more calmly, and at the last note {friend.he} was asleep",
        "\"What a good doctor,\" whispered {friend.his} mother"}},
    {0, 0, {"One day the fog was so thick that the children who had gone to pick berries could not find their way home. "
        "They called, but the fog swallowed every word.",
        "The tune went further than any shout. After a while there came an answer, and one by one the lost ones came out of the fog",
        "\"We only had to follow the tune,\" they said"}},
};
static const struct stories_table tune = {.columns = {"need", "effect", "praise"}, STORIES_ROWS(tunes)};

static const struct stories_row players[] = {
    {0, 0, {"flute", "[old|wooden|black]", "blew a note, very softly"}}, {0, 0, {"fiddle", "[little|brown|old]",
        "laid the bow on the strings"}},
    {0, 0, {"harp", "[small|dusty|carved]", "touched one string, and then another"}}, {0, 0, {"mouth organ", "[silver|dented|tin]",
        "put it to {his} lips and shut {his} eyes"}},
    {0, 0, {"lute", "[round|old|painted]", "plucked the first string"}}, {0, 0, {"horn", "[bent|golden|small]",
        "took a deep breath and began"}},
    {0, 0, {"accordion", "[red|wheezing|little]", "pulled it open as gently as a curtain"}},
};
static const struct stories_table player = {.columns = {"thing", "adj", "begin"}, STORIES_ROWS(players)};

static const char *const music_text[] = {
    "{intro}",
    "{He} had {a} {thing.adj} {thing}, and [every day|every evening] {he} practised, [but only in the attic|but only in the wood|"
    "but only when nobody was at home], [so that nobody should hear {him}|for {he} was too shy to play before others]. "
    "[Only {friend}, {his} best friend, knew about it.|Once {friend}, {friend.a} from next door, heard {him}.] \"[That was beautiful|"
    "You play better than anyone],\" {says friend}. \"[Play for us at the feast!|Why do you hide?]\" [?{Hero} turned red.|"
    "{Hero} put the {thing} behind {his} back.] \"[If they look at me, my fingers turn to wood|"
    "I only make mistakes when somebody listens],\" {says hero}.",
    "\n",
    "{tune.need} [?They tried everything, and nothing helped.|Nobody knew what to do.|"
    "{Elder}, {elder.a}, knew many things, but not this.] {Friend} looked at {hero}. "
    "[?{Friend.he} did not say a word, but {hero} understood.|\"Now,\" {says friend}. \"It must be now.\"]",
    "[{Hero} ran home and came back with the {thing}.|{Hero}'s knees were shaking when {he} fetched the {thing}.|"
    "{Hero}'s heart was beating in {his} throat, but {he} fetched the {thing}.] [?{He} looked at nobody.|{He} looked only at {friend}.|"
    "{He} thought of how quiet it was in the attic.] Then {he} {thing.begin}. "
    "[?The first note shook a little, the second less.|At first it sounded thin, like a thread, and then it grew.|"
    "{He} made a mistake, and then another, and nobody noticed.]",
    "\n",
    "{tune.effect}. {tune.praise}. [?Everyone was looking at {hero} now, and it was not bad at all.]",
    "[\"You were not afraid,\" {says friend}. \"Oh, yes,\" {says hero}, \"but I had no time for it.\"|"
    "\"Were your fingers made of wood?\" {asks friend}. \"No,\" {says hero}. \"They knew the way.\"|\"I forgot myself,\" {says hero}. "
    "\"That is the trick,\" {says friend}.] "
    "[?Since then the window has stood open when {hero} plays.|At the next feast {he} played until midnight.|{glad hero}|{sleeps hero}]",
    NULL,
};
const struct stories_plot stories_plot_music = {
    .name = "music",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "thing", .table = &player},
        {.name = "tune", .table = &tune},
    },
    .text = music_text,
};
