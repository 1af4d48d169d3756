/* Plots on the road: journeys, bargains, obstacles. */
#include "stories_plots.h"
#include "stories_words.h"

/* clang-format off */

/* ---- who is helped on the way helps on the way ---- */

static const struct stories_row journey_goals[] = {
    {TAG_SEA, 0, {"the lighthouse", "at the end of the long rocks", "the keeper", "can of oil", "the lamp had burned nearly dry",
        "Now the ships will find their way"}},
    {TAG_HILL, 0, {"the hut on the mountain", "above the last trees", "the old herdsman", "jar of medicine",
        "the herdsman lay in bed and coughed", "I shall sleep well tonight"}},
    {TAG_RIVER, 0, {"the upper mill", "a long way up the river", "the miller", "new belt for the mill wheel",
        "the mill had stood still for a week", "Tomorrow there will be bread again"}},
    {TAG_LAKE, 0, {"the chapel on the far shore", "half a day around the lake", "the bell ringer", "new rope for the bell",
        "the bell had hung silent for a week", "Now even the cows will know what time it is"}},
    {TAG_WOOD, 0, {"the forester's house", "in the deepest part of the forest", "the forester", "thick winter coat",
        "the first frost lay on the roof", "Now the winter may come"}},
    {TAG_FIELD, 0, {"the great market", "beyond the seven fields", "{his} aunt", "basket of eggs", "{his} aunt stood at an empty stall",
        "Not one of them is broken"}},
};
static const struct stories_table journey_goal = {.columns = {"goal", "where", "who", "load", "scene", "thanks"
}, STORIES_ROWS(journey_goals)};

static const struct stories_row journey_helpers[] = {
    {0, 0, {"crow", "[black|ragged|big]", "sat in a thorn bush with a thread around its foot", "{Hero} undid the thread, knot by knot.",
        "the fog came down, and {he} could not see the way", "The {guest} flew ahead and called, and {he} only had to follow its voice."}},
    {0, 0, {"donkey", "[grey|old|shaggy]", "stood in the sun and had not a drop to drink", "{Hero} fetched water in {his} hat, five times.",
        "the road grew so steep that {he} could not go on", "It let {him} lay the load on its back."}},
    {0, 0, {"dog", "[thin|brown|spotted]", "lay by the road and had not eaten for days",
        "{Hero} gave it half of {his} bread, and then the other half, too.",
        "it grew dark, and something growled in the bushes", "The {guest} barked, and whatever it was ran away."}},
    {0, 0, {"frog", "[green|fat|small]", "sat in a dry ditch and could not get out", "{Hero} lifted it out and carried it to a pond.",
        "{he} was thirsty, and all the wells along the road were dry", "The {guest} led {him} to a spring under a stone."}},
    {0, 0, {"goat", "[white|old|bearded]", "had caught its horn in a fence", "{Hero} bent the wire and set it free.",
        "the path was lost among loose stones", "The {guest} went ahead, and {he} stepped where it had stepped."}},
    {0, 0, {"mouse", "[grey|tiny|brown]", "had fallen into an empty jar", "{Hero} tipped the jar over and wished it a good day.",
        "{he} found the gate across the road tied shut", "The {guest} slipped through and gnawed at the cord until the gate swung open."}},
    {0, 0, {"swan", "[white|young|proud]", "had a fish hook in its foot", "{Hero} drew the hook out, though the bird hissed with fear.",
        "the road was under water, and there was no boat",
        "The {guest} pushed an old door before it, and on the door {he} floated across."}},
    {0, 0, {"beetle", "[golden|green|shiny]", "lay on its back and kicked its legs in the air",
        "{Hero} turned it over with a blade of grass.",
        "the road parted, and there was no sign",
        "The {guest} sat on the left-hand stone and shone like a lamp, so {he} went to the left."}},
};
static const struct stories_table journey_helper = {.columns = {"guest", "adj", "trouble", "help", "need", "reward"
}, STORIES_ROWS(journey_helpers)};

static const char *const journey_text[] = {
    "{intro}",
    "\"[Somebody must bring|You must carry|Please take] this {goal.load} to {goal.goal}[|"
    ", {goal.where}],\" {his} {relative} said {day.one}. \"^{goal.who} is waiting.\" "
    "[{Hero} took a piece of bread and set out.|{Hero} laced up {his} boots, and off {he} went.|So {hero} put on {his} hat and went.] "
    "[?{day.sky}]",
    "\n",
    "[Soon {he} saw {a}|Behind {spot} {he} met {a}|Near {spot} {he} came upon {a}] {guest.adj} {guest}. It {guest.trouble}. "
    "{guest.help} "
    "[?The {guest} looked at {him} and was gone.|\"It is nothing,\" {says hero}, and hurried on.|"
    "Then {he} had to run to make up for the time.]",
    "\n",
    "[Half way there|Some miles further on|Towards evening|When {he} was nearly there], {guest.need}. "
    "[?{Hero} did not know what to do.|{Hero}'s courage sank.] "
    "[Then something moved behind {him}. It was the {guest.adj} {guest}.|But {he} was not alone. There was the {guest.adj} {guest}.] "
    "{guest.reward}",
    "\n",
    "[Under the first star {he} stood|Just in time {he} stood|So, late but safe, {he} stood] before {goal.goal}. There {goal.scene}. "
    "{Hero} held out the {goal.load}. \"{goal.thanks},\" said {goal.who}. \"Were you all alone?\" "
    "\"I was not alone,\" {says hero}[, and told of the {guest}|, and thought of the {guest}]. "
    "[?Since then {he} has never been in too much of a hurry.|Who stops for others arrives all the same.|{sleeps hero}|{glad hero}]",
    NULL,
};
const struct stories_plot stories_plot_journey = {
    .name = "journey",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "goal", .table = &journey_goal},
        {.name = "guest", .table = &journey_helper},
        {.name = "spot", .table = &stories_spots},
    },
    .text = journey_text,
};

/* ---- one thing is given for another, until it comes to the right one ---- */

static const struct stories_row swap_wares[] = {
    {0, 0, {"pot", "clay pot", "potter", "my only pot has cracked, and I eat cold soup"}},
    {0, 0, {"rope", "long rope", "rope maker", "my rope has snapped, and the bucket lies in the well"}},
    {0, TAG_GIFT, {"loaf", "fresh loaf of bread", "baker", "I have not had a bite to eat since dawn"}},
    {0, TAG_GIFT, {"candle", "tall candle", "candle maker", "at night I sit in the dark"}},
    {0, 0, {"basket", "willow basket", "basket maker", "my basket has no bottom any more"}},
    {0, 0, {"knife", "sharp knife", "blacksmith", "my knife could not cut butter"}},
    {0, TAG_GIFT, {"honey", "jar of honey", "beekeeper", "my throat is so sore that I can only whisper"}},
    {0, TAG_GIFT, {"blanket", "woollen blanket", "weaver", "I was so cold last night"}},
    {0, 0, {"shoes", "strong pair of shoes", "cobbler", "my shoes let in the rain, and I have a cold"}},
    {0, 0, {"stool", "three-legged stool", "carpenter", "my stool has lost a leg, and I have to stand all day"}},
    {0, TAG_GIFT, {"coat", "warm coat", "tailor", "my coat is more hole than coat"}},
    {0, 0, {"clock", "loud little clock", "clockmaker", "I oversleep each morning, because I have no clock"}},
    {0, 0, {"flour", "sack of flour", "miller", "I have no flour for the wedding cake"}},
    {0, TAG_GIFT, {"roses", "bunch of roses", "gardener", "it is my wedding day, and I have no flowers"}},
    {0, 0, {"net", "fishing net", "net maker", "the pond is full of fish, and I have no net"}},
    {0, TAG_GIFT, {"cherries", "bowl of cherries", "farmer", "I have not tasted a cherry since I was a child"}},
};
static const struct stories_table swap_ware = {.columns = {"ware", "full", "maker", "lack"}, STORIES_ROWS(swap_wares)};

static const char *const swap_text[] = {
    "{intro}",
    "[{His} friend {friend} was ill in bed and wished for nothing but|{Friend}, {his} best friend, was going on a long journey, and "
    "{hero} wanted to give {friend.him}|"
    "It was the birthday of {his} friend {friend}, and all that {friend.he} wished for was] {a} {goal.full}. "
    "But {hero} had no money. All that {he} had was {a} {ware0.full}[ from home|, a present from {his} {relative}|].",
    "\n",
    "\"[You may have the {goal}|I would gladly give you the {goal}],\" said the {goal.maker}, \"but {ware1.lack}. [Bring me|Get me] "
    "{a} {ware1.full}, and the {goal} shall be yours.\" "
    "So {hero} [ran|went|hurried] to the {ware1.maker}. [The {ware1.maker} sat on the step with a long face.|"
    "The {ware1.maker} did not look up.] \"[What a day!|Do not ask me today.|You come at a bad time.] {ware0.lack}.\"",
    "\n",
    "[{Hero} began to laugh, and held out the {ware0}|\"But I have just what you need!\" {cries hero}, and held out the {ware0}|"
    "{Hero} held out the {ware0}]. "
    "[The {ware1.maker} beamed|The {ware1.maker} jumped up] and gave {him} {a} {ware1.full}. "
    "[Back {he} ran.|With that {he} ran back.] The {goal.maker} took the {ware1} [with both hands|"
    "and shook {his} hand], and {hero} got the {goal}.",
    "\n",
    "[Before supper {he} stood|As the lamps were lit, {he} stood|Out of breath {he} stood] at {friend}'s door. "
    "[\"But you have no money!\" {cries friend}.|\"How did you do that?\" {asks friend}.] "
    "[\"I only carried things from door to door,\" {says hero}.|\"It went around,\" {says hero}, \"and now three people have what they "
    "need.\"|\"Each of us had something too much,\" {says hero}, \"and something too little.\"] "
    "[?{glad hero}|{close}|{Friend} laughed until {friend.his} cheeks were red.]",
    NULL,
};
const struct stories_plot stories_plot_swap = {
    .name = "swap",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "goal", .table = &swap_ware, .any = TAG_GIFT},
        {.name = "ware0", .table = &swap_ware},
        {.name = "ware1", .table = &swap_ware},
    },
    .text = swap_text,
};

/* ---- an animal that will not move has a reason ---- */

static const struct stories_row stubborn_beasts[] = {
    {0, 0, {"donkey", "[grey|fat|old]", "lifted one foot a little from the ground", "there was a sharp stone in the hoof",
        "took out the stone with a spoon, and the donkey walked on as if nothing had happened"}},
    {0, 0, {"cow", "[brown|spotted|white]", "kept looking over its shoulder at the hedge",
        "behind the hedge stood a calf that could not find the gap",
        "led the calf through the gap, and the cow licked it and went its way"}},
    {0, 0, {"goose", "[white|angry|huge]", "never went further than three steps from a little heap of straw",
        "in the straw lay five eggs, still warm", "carried the nest to the edge of the road, and the goose followed"}},
    {0, 0, {"horse", "[black|brown|tall]", "rolled its eyes at the washing line", "a white shirt was waving its sleeves there like a ghost",
        "took down the shirt and let the horse smell it, and the horse trotted on"}},
    {0, 0, {"ox", "[red|huge|sleepy]", "shook its neck again and again and listened",
        "its bell was gone, and without it the ox did not know that it was walking",
        "found the bell in the ditch and tied it on, and at the first ding the ox set off"}},
    {0, 0, {"elephant", "[grey|wrinkled|huge] circus", "held up its ears and stared at the ground",
        "a mouse sat there on a crumb and would not move, either",
        "coaxed the mouse away with cheese, and the elephant breathed out so hard that hats flew off"}},
    {0, 0, {"pig", "[pink|fat|muddy]", "blinked at the sky and would not leave its puddle",
        "it had burned its back in the sun, and the mud was cool",
        "laid a wet sack over its back like a cloak, and the pig walked off like a queen"}},
    {0, 0, {"dog", "[big|shaggy|black]", "lay on a wooden lid and whined whenever somebody came near",
        "something was mewing softly under the lid", "lifted the lid, and there sat a kitten, which the dog carried home"}},
};
static const struct stories_table stubborn_beast = {.columns = {"beast", "adj", "sign", "reason", "help"}, STORIES_ROWS(stubborn_beasts)};

static const struct stories_row stubborn_bars[] = {
    {0, 0, {"at the end of the bridge", "Nobody could cross"}},          {0, 0, {"in the narrowest part of the street",
        "No cart could pass"}},
    {0, 0, {"in front of the town gate", "Nobody came in and nobody got out"}}, {0, 0, {"across the road to the market",
        "The eggs grew no fresher and the butter grew soft"}},
    {0, 0, {"before the door of the school", "The children did not mind, but the teacher did"}}, {0, 0, {"at the corner by the bakery",
        "Nobody could get to the bread"}},
};
static const struct stories_table stubborn_bar = {.columns = {"where", "result"}, STORIES_ROWS(stubborn_bars)};

static const char *const stubborn_text[] = {
    "[Something odd happened {town.in}. {Day.one}, {a}|{Town} was {town.kind}, {town.detail}. There, {day.one}, {a}|"
    "{Day.one}, {town.in}, {a}] {beast.adj} {beast} stood {bar.where} and would not move. "
    "{bar.result}.",
    "[\"I will [show|teach] it,\" said {strong}, the {strong.kind}, and pulled with all {strong.his} strength.|"
    "The {strong.kind}, {strong}, pulled until {strong.his} face was red.] "
    "\"[You have to shout at it|It only needs a fright],\" said {loud}, the {loud.kind},  and [shouted|banged two pots together]. "
    "The {beast} [only shut its eyes|did not stir].",
    "\n",
    "[Then came|Among all the people stood|On the way to school came] {hero}, {hero.a} {hero.habit}. "
    "{Hero} did not push and did not shout. {He} [sat down in the dust|crouched down] and looked. "
    "[Then {he} saw it|And soon {he} saw it|After a while {he} saw it]: the {beast} {beast.sign}.",
    "\n",
    "{Hero} [went closer|walked around it]. And indeed, {beast.reason}. [?\"You poor thing,\" {whispers hero}.|"
    "\"So that is it,\" {whispers hero}.] {He} {beast.help}.",
    "\n",
    "\"[I have strong arms|I pulled with all my might], and you [needed only your eyes|only looked],\" {says strong}. "
    "\"[Nobody stands still without a reason|Who will not move has a reason],\" {says hero}[.|, \"one only has to find it.\"|"
    ", \"and a reason can be found.\"]",
    "[?{Loud} gave {him} a [cake|bag of plums], and spoke very softly for the rest of the day.|"
    "Whenever there was a quarrel {town.in} after that, they sent for {hero}.|{glad hero}|{close}]",
    NULL,
};
const struct stories_plot stories_plot_stubborn = {
    .name = "stubborn",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "strong", .role = STORIES_CRAFT},
        {.name = "loud", .role = STORIES_CRAFT},
        {.name = "beast", .table = &stubborn_beast},
        {.name = "bar", .table = &stubborn_bar},
    },
    .text = stubborn_text,
};

/* ---- the smallest can do what the big ones cannot ---- */

static const struct stories_row small_tasks[] = {
    {TAG_HUMAN, 0, {"hold the ladder at the apple harvest", "the door of the school had locked itself, with the key inside. "
        "There was only one small window, high up, and it was as narrow as a book",
        "climbed up, slipped through the window like a letter into a box, and opened the door from inside", "the whole school"}},
    {TAG_HUMAN, 0, {"carry the flag in the parade",
        "a kitten had crept into the long pipe under the road and did not dare to come out again",
        "crawled into the pipe, on {his} stomach, into the dark, and came out at the other end with the kitten on {his} back",
        "the whole street"}},
    {TAG_HUMAN, 0, {"sing in the choir",
        "the rope of the great bell had slipped up through the ceiling, and no grown person could squeeze up the last stairs",
        "went up the stairs where even the spiders were cramped, and let the rope down again", "everyone in the square"}},
    {TAG_ANIMAL, 0, {"carry nuts for the winter store",
        "a stone had rolled before the door of the winter store. Only a crack was left, as wide as a thumb",
        "squeezed through the crack, dug away the earth behind the stone, and it rolled aside all by itself",
        "everyone from far and near"}},
    {TAG_ANIMAL, 0, {"help to build the dam",
        "a baby bird had fallen into a deep, narrow hole in a tree, and its mother was beside herself",
        "climbed down into the hole, head first, and came up again with the little bird on {his} back", "every bird in the trees"}},
    {TAG_ANIMAL, 0, {"play ball with the others", "the ball had rolled into a hollow log and stuck there, just where it was narrowest",
        "crept into the log, where it smelled of mushrooms, and pushed the ball out with {his} nose", "the whole crowd"}},
    {0, 0, {"help to carry the long table", "the golden ring of {elder}, {elder.a}, had fallen through a crack in the floor. "
        "They could see it shine down there, but no {hand} was thin enough to reach it",
        "put {his} thin arm into the crack, up to the shoulder, and felt around with the tips of {his} fingers until {he} had the ring",
        "everyone at the feast"}},
    {0, 0, {"row in the big boat",
        "the big boat had run on a sandbank, and it was too heavy to get off. Each of the big ones made it sink in deeper",
        "was so light that {he} could run over the wet sand without sinking in, and carried a rope to the shore", "everybody on board"}},
};
static const struct stories_table small_task = {.columns = {"wish", "trouble", "deed", "crowd"}, STORIES_ROWS(small_tasks)};

static const char *const small_text[] = {
    "{intro}",
    "[There was one thing {he} did not like: {he} was so small.|But {he} was the smallest of all.|"
    "{He} was smaller than all the others, and they never let {him} forget it.] "
    "[When {he} wanted to|Once, when {he} asked if {he} could|Whenever {he} wanted to] {task.wish}, {his} neighbour {friend} [laughed|"
    "shook {friend.his} head|only smiled]. \"[You are too small for that|Come back when you have grown|"
    "Mind that nobody steps on you],\" said {friend}[, who was a head taller|, who was the tallest of all|]. "
    "[?In the evening {hero} stood against the door post, but the mark was where it had been the day before.|"
    "{Hero} ate twice as much porridge, but it did not help.|{Hero} hung from a branch by {his} arms to grow longer, but only {his} "
    "arms grew tired.]",
    "\n",
    "[Then, {day.one}, there was a great to-do|{Day.one}, there was great excitement|"
    "But {day.one} there was shouting everywhere]: {task.trouble}. "
    "[{Friend} tried, and could not do it.|{Friend} tried first, but could not do it.] [?The strongest tried.|The cleverest tried.|"
    "They tried with poles and with hooks.|They talked and pulled at their ears.] [?It was no use.|Nobody was able to do it.]",
    "\"[Let me try|I think I can do it|I will try],\" {says hero}. [Nobody heard {him}, so {he} said it again.|"
    "They looked down at {him}.|\"You?\" asked {friend}.|{Friend} stepped aside.] {He} {task.deed}.",
    "\n",
    "[There was a cheer from {task.crowd}.|Then {task.crowd} clapped and cheered.|And {task.crowd} shouted {hero}'s name.] "
    "[{Friend} turned red.|{Friend} bent down to {him}.|{Friend} held out a {friend.hand}.] "
    "\"[I was wrong|I am sorry that I laughed],\" {says friend}. \"[You are just the right size|You are small on the outside only|"
    "We would have been lost without you].\"",
    "[{Hero} never again [measured {himself}|hung from a branch].|\"Everyone is the right size for something,\" {says hero}.|"
    "{glad hero}|{sleeps hero}|That evening {he} was carried home on their shoulders, and from up there {he} was taller than anyone.]",
    NULL,
};
const struct stories_plot stories_plot_small = {
    .name = "small",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER, .any = TAG_SMALL},
        {.name = "friend", .role = STORIES_PEER, .any = TAG_TALL},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "task", .table = &small_task},
    },
    .text = small_text,
};
