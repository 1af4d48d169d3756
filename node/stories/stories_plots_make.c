/* Plots about what is mended, learned and made. */
#include "stories_plots.h"
#include "stories_words.h"

/* clang-format off */

/* ---- what others throw away mends what is broken ---- */

static const struct stories_row mend_things[] = {
    {0, 0, {"clock", "[tall|painted|round]", "one of its hands had fallen off and could not be found", "bit of brass wire",
        "bent the wire into a new hand and fixed it with a drop of wax", "ticked as if it had never stopped"}},
    {0, 0, {"kettle", "[copper|fat|black]", "it had a hole in the bottom", "copper coin with a dent",
        "hammered the coin flat and closed the hole with it", "sang on the fire and did not lose a drop"}},
    {0, 0, {"rocking chair", "[old|creaking|blue]", "one of its runners had cracked", "leather strap",
        "wound the strap around the crack and pulled it tight", "rocked as gently as a boat"}},
    {0, 0, {"accordion", "[red|black|shiny]", "there was a tear in its side", "scrap of oilcloth",
        "glued the oilcloth over the tear", "sang out so loudly that the windows shook"}},
    {0, 0, {"music box", "[silver|tiny|painted]", "a tooth was missing from its smallest wheel", "brass pin",
        "pushed the pin into the gap where the tooth had been", "played its little waltz from beginning to end"}},
    {0, 0, {"wheelbarrow", "[green|wooden|heavy]", "its wheel had come off and the bolt was lost", "long iron nail",
        "pushed the nail through the middle of the wheel and bent it over", "rolled along without a squeak"}},
    {0, 0, {"spinning wheel", "[dark|carved|tall]", "its cord had snapped", "old fiddle string",
        "tied the string around the wheel, where the cord had been", "hummed like a hive of bees"}},
    {0, 0, {"lantern", "[iron|round|brass]", "one of its panes was broken", "piece of green glass",
        "set the green glass into the frame", "threw a light as green as spring on the wall"}},
    {0, 0, {"teapot", "[blue|round|white]", "the knob of its lid had broken off", "cork",
        "fixed the cork to the lid with a screw", "could be opened again without burnt fingers"}},
    {0, 0, {"umbrella", "[red|black|enormous]", "one of its ribs was broken", "thin willow stick",
        "tied the stick in the place of the broken rib", "opened with a cheerful flap"}},
    {0, 0, {"pair of bellows", "[leather|old]", "the leather had split", "old leather glove",
        "sewed the glove over the split with big stitches", "puffed until the fire roared"}},
    {0, 0, {"cuckoo clock", "[brown|carved]", "the cuckoo had lost its spring and only nodded", "spring from a mousetrap",
        "put the spring under the cuckoo's feet", "called every hour, and the cuckoo jumped so far that it nearly fell out"}},
};
static const struct stories_table mend_thing = {.columns = {"thing", "adj", "broke", "scrap", "how", "works"}, STORIES_ROWS(mend_things)};

static const char *const mend_text[] = {
    "{intro}",
    "{He} [kept|saved|collected] what others threw away, [in a big tin|in a wooden box|in a drawer|in an old hat box]: "
    "[string, corks and bent nails|buttons, hooks and lids|screws, feathers and lost wheels|"
    "odd socks and keys], and {a} {thing.scrap} that {he} had found {spot.at}.",
    "[\"What do you want with that rubbish?\" asked {friend}, {his} friend.|{His} friend {friend} laughed. \"What is that good for?\"|"
    "{Friend}, {his} best friend, shook {friend.his} head at it.] "
    "\"[You never know|Its time will come|Somebody may need it one day],\" {says hero}.",
    "\n",
    "[{Day.one}, they met|{Day.one}, {hero} and {friend} passed by the house of|{Day.one}, they heard somebody sigh. It was] "
    "{elder.a} {called} {elder}. "
    "\"My [good|dear|poor] old {thing} is broken,\" {says elder}. [?\"It belonged to my mother.\"|\"I have had it for fifty years.\"|"
    "\"It has been with me all my life.\"]",
    "[It was {a} {thing.adj} {thing}, and|There stood {a} {thing.adj} {thing}, and] {thing.broke}. "
    "[?\"Nobody {town.in} can mend it,\" {says elder}.|{Elder} had tried it with glue, and with string, and with a few strong words.|"
    "They tried it with glue, but the glue did not hold.]",
    "\n",
    "[{Hero} looked at the {thing} from all sides, and then {he} ran home and came back with the {thing.scrap}.|"
    "Then {hero} remembered the {thing.scrap}, and ran home to fetch it.|\"I think I have something,\" {says hero}, and ran to fetch "
    "the {thing.scrap}.] [{Friend} held the {thing}, and {hero}|While {friend} held the lamp, {hero}|"
    "{Elder} put on {elder.his} glasses to watch, and {hero}] {thing.how}. "
    "[?The first time it slipped.|It took three tries.|It was harder than it looked.|It was done before the kettle boiled.] [And then|"
    "At once|And from that moment] the {thing} {thing.works}.",
    "\n",
    "[?{Elder} wiped {elder.his} eyes and laughed.|{Elder} clapped {elder.his} {elder.hand}s.|For a moment {elder} could not speak.] "
    "\"[There is no rubbish|Nothing is rubbish],\" {says elder}, \"[there are only things whose time has not come|"
    "it only waits for the right day].\"",
    "[?From then on {friend} looked for treasures, too, and brought {hero} everything {friend.he} found.|"
    "The next day {friend} brought {hero} a [bent spoon|broken lock|lost hinge]. \"You never know,\" {says friend}.|"
    "{Glad hero}|{Sleeps hero}]",
    NULL,
};
const struct stories_plot stories_plot_mend = {
    .name = "mend",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "spot", .table = &stories_spots},
        {.name = "thing", .table = &mend_thing},
    },
    .text = mend_text,
};

/* ---- a craft is learned at the third try ---- */

static const struct stories_row crafts[] = {
    {0, 0, {"potter", "bowl", "clay", "leaned to one side like a tired sheep", "cracked in the heat of the kiln",
        "You press too hard. Let the wheel do the work", "closed {his} eyes and let the clay run through {his} fingers",
        "was round and smooth and rang like a bell"}},
    {0, 0, {"baker", "loaf", "dough", "was as flat as a plate", "was as black as coal",
        "Dough wants to sleep before it rises. Do not wake it", "laid a cloth over the dough, sat down beside it and waited",
        "came out of the oven high and golden"}},
    {0, 0, {"weaver", "blanket", "wool", "had a hole in the middle", "was wide at one end and narrow at the other",
        "Pull each thread as gently as you close the door of a sleeping child",
        "counted the threads and hummed, so that {his} hands kept time", "was as straight as a field in spring"}},
    {0, 0, {"carpenter", "stool", "wood", "wobbled like a newborn calf", "was so low that only the cat could use it",
        "Measure twice and saw once", "measured every leg twice, and then once more", "stood as firm as a rock"}},
    {0, 0, {"boatbuilder", "boat", "planks", "sank at once", "went round and round in a circle",
        "Look at the wood. It tells you which way it wants to bend", "turned every plank over until it lay as it had grown",
        "sat on the water like a duck"}},
    {0, 0, {"candle maker", "candle", "wax", "was bent like a finger", "spat and went out",
        "Dip and wait, dip and wait. A candle grows like a tree, ring by ring", "dipped and waited, and sang a verse each time",
        "burned with a tall, still flame"}},
    {0, 0, {"basket maker", "basket", "willow", "fell apart when the cat sat down in it", "had a hole that an apple could roll through",
        "Dry twigs are stubborn. Give them a bath first", "laid the twigs in the pond overnight, until they were soft",
        "was strong enough to carry a goose"}},
    {0, 0, {"clockmaker", "clock", "wheels and springs", "ticked twice and stopped", "ran so fast that noon came before breakfast",
        "Listen first, and turn the screw afterwards", "held {his} ear to the clock until {he} heard where it limped",
        "ticked as calmly as a sleeping heart"}},
    {0, 0, {"glassblower", "glass", "hot glass", "burst like a bubble", "looked like a potato",
        "Do not blow like the north wind. Breathe as you breathe on a cold window", "took a slow breath and let it go softly",
        "was as clear as rain"}},
    {0, 0, {"toymaker", "puppet", "wood", "had two left feet", "looked so cross that the dog barked at it",
        "First think of somebody you like, then carve", "thought of {his} grandmother's laughing face",
        "looked so friendly that everyone smiled back at it"}},
    {0, 0, {"cobbler", "shoe", "leather", "was big enough for a bear", "squeaked like a mouse",
        "Look at the foot, not at the leather", "drew the foot on paper and looked at it for a long time", "fitted like a second skin"}},
    {0, 0, {"tailor", "coat", "cloth", "had one sleeve longer than the other", "could not be buttoned at all",
        "A hasty stitch comes back to you", "made small stitches and did not look up until the last one",
        "hung as well as if it had grown there"}},
};
static const struct stories_table craft = {.columns = {"kind", "product", "stuff", "first", "second", "advice", "did", "third"
}, STORIES_ROWS(crafts)};

static const char *const craft_text[] = {
    "{intro}",
    "[{He} wanted to become {a} {craft.kind}, like {master}, whose workshop was at the end of the street.|"
    "Every day after school {he} stood at the window of {master}, the {craft.kind}, and watched.|"
    "When {he} was old enough to learn something, {he} went to {master}, the {craft.kind}.] "
    "[\"May I learn it?\" {asks hero}. \"If you can wait,\" {says master}.|\"Can you be patient?\" {asks master}. "
    "\"I think so,\" {says hero}.|\"It looks easy,\" {says hero}. {Master} only smiled.]",
    "\n",
    "[The first {craft.product} that {hero} made|{Hero} began at once, and {his} first {craft.product}|"
    "{Day.one}, {hero} made {his} first {craft.product}. It] {craft.first}. "
    "[?{Master} coughed politely.|The other children laughed.|The cat took one look at it and ran away.] "
    "[The second {craft.product}|{He} tried again. The second {craft.product}|\"Never mind,\" {says master}. "
    "But the second {craft.product}] {craft.second}. "
    "[{Hero} [threw down {his} apron|kicked a bucket|put {his} head on the bench]. \"I [cannot do it|"
    "shall never learn it],\" {sighs hero}.|\"My hands are too stupid,\" {sighs hero}.|"
    "{Hero} wanted to run away and never see any {craft.stuff} again.]",
    "\n",
    "{Master} [sat down beside {him}|put a hand on {his} shoulder|poured two cups of tea]. "
    "[?\"Do you see the shelf up there?\" {says master}. \"Those crooked things are mine, from when I was as old as you.\"|"
    "\"My first {craft.product} was worse,\" {says master}.|\"Do you know how many I have spoiled?\" {asks master}. \"A whole cartful.\"] "
    "{Master.he} [leaned closer|lowered {master.his} voice|looked at {hero}'s hands]. \"[?Here is the secret.|"
    "I will tell you what my own teacher told me.|Now listen.] {craft.advice}.\"",
    "[So {hero} tried once more.|{Hero} dried {his} eyes and began again.|The next morning {hero} was there before the sun.] "
    "{He} {craft.did}. And the third {craft.product} {craft.third}.",
    "\n",
    "{Master} [turned it this way and that|looked at it for a long time|took it in both hands]. \"[Now you know how|That is good work|"
    "I could not have made it better],\" {says master}.",
    "[{Hero} gave the {craft.product} to {his} {relative}, and put the first one on the shelf, beside those of {master}.|"
    "{Hero} kept all three of them, side by side, so as not to forget.|"
    "Years later, when {hero} was {a} {craft.kind} too, {he} told every child at the window about {his} first {craft.product}.|"
    "{Glad hero}]",
    NULL,
};
const struct stories_plot stories_plot_craft = {
    .name = "craft",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "master", .role = STORIES_NAMED},
        {.name = "craft", .table = &craft},
    },
    .text = craft_text,
};

/* ---- a present that costs nothing ---- */

static const struct stories_row gifts[] = {
    {0, 0, {"scarf", "[red|green|striped|blue]", "{elder} always had a cold neck",
        "pulled apart {his} old jumper and knitted the wool anew, row by row",
        "put it on at once and did not take it off, not even at table"}},
    {0, 0, {"walking stick", "[smooth|straight|white]", "{elder}'s knees hurt on the steep path",
        "cut a hazel branch, peeled it and rubbed it until it was as smooth as silk",
        "walked up and down with it, as proudly as a captain"}},
    {0, 0, {"bookmark", "[bright|long|yellow]", "{elder} lost {elder.his} place in every book {elder.he} read",
        "pressed the prettiest flowers under a stone and glued them on a strip of card",
        "laid it in {elder.his} thickest book and never lost {elder.his} place again"}},
    {0, 0, {"birdhouse", "[green|little|crooked]", "{elder} missed the birds that used to sing by {elder.his} window",
        "nailed an old box together again and cut a round door in it",
        "hung it by the window, and within a week a robin moved in"}},
    {0, 0, {"cushion", "[soft|patched|round]", "{elder}'s chair was as hard as a rock",
        "sewed bits of cloth together and stuffed them with dry grass and lavender",
        "sat down and said that no queen sat better"}},
    {0, 0, {"wooden spoon", "[long|smooth|strong]", "{elder}'s spoon had broken, and the soup always burned",
        "found a cherry branch and carved away all that did not look like a spoon",
        "stirred the soup with it the same day, and nothing burned"}},
    {0, 0, {"paper lantern", "[red|yellow|round]", "{elder} stumbled in the dark each time {elder.he} fetched wood",
        "bent thin twigs into a ring and glued coloured paper over them",
        "carried it out into the night, and it shone like a small moon"}},
    {0, 0, {"song", "[merry|short|new]", "{elder} was often alone in the evening",
        "made up a verse each day and practised it behind the woodpile",
        "asked to hear it three times, and hummed it ever after when {elder.he} was alone"}},
    {0, 0, {"wind chime", "[little|silver|tinkling]", "it was so quiet in {elder}'s house",
        "tied old spoons and shells to a stick, one beside the other",
        "hung it in the door, where it rang whenever the wind came to visit"}},
    {0, 0, {"door stop", "[funny|heavy|painted]", "the wind slammed {elder}'s door all day long",
        "found a heavy stone and painted a sleeping cat on it",
        "put it before the door, and even the dog was fooled"}},
};
static const struct stories_table gift = {.columns = {"gift", "adj", "need", "making", "joy"}, STORIES_ROWS(gifts)};

static const char *const gift_text[] = {
    "{intro}",
    "[Soon it would be|In [three days|a week|five days] it was] the birthday of {elder}, {elder.a} [whom {hero} liked very much|"
    "who lived near by|who always had time for {hero}]. "
    "[All the others had presents already|{His} friend {friend} had bought a [box of tea|pot of honey|silver spoon]|"
    "{His} friend {friend} had saved for a [fine hat|big cake|china cup]], but {hero} [had only a button in {his} pocket|"
    "had nothing in {his} purse but a hole|did not own a single coin].",
    "\n",
    "[{Hero} thought about it for a long time.|So {hero} went to see {elder}, only to look around.|"
    "{Day.one}, {hero} sat with {elder} and kept {his} eyes open.] Then {he} [saw|remembered|noticed] that {gift.need}. "
    "\"[That is it|I know what to do|I have it]!\" {he} thought, and {he} ran home [as fast as {his} legs would go|without {his} hat|"
    "like the wind].",
    "[For three days nobody saw much of {hero}.|{Hero} shut the door behind {him}.|There was no time to lose.] {He} {gift.making}. "
    "[?The first one went wrong, and {he} began again.|{He} pricked {his} thumb twice, but {he} went on.|"
    "It was not easy, and more than once {he} nearly gave up.] "
    "[?\"What are you making?\" asked {his} friend {friend}. \"You will see,\" {says hero}.|"
    "{His} friend {friend} looked in at the window, but {hero} drew the "
    "curtain.]",
    "\n",
    "[On the birthday everyone came with boxes and ribbons.|Then the day came, and the table was full of presents.] "
    "[?{Hero} waited until the end.|{Hero} stood at the back.|{Hero}'s ears were red.] "
    "\"It is only {a} {gift.adj} {gift},\" {whispers hero}. [?It grew very quiet.] {Elder} [smiled|laughed for joy|"
    "took a deep breath]. {Elder.he} {gift.joy}.",
    "\"[You looked at me before you looked into a shop|Others gave me what they could buy. You gave me what I needed|"
    "The best present is one that somebody has thought about],\" {says elder}.",
    "[?{glad hero}|{sleeps hero}|{His} friend {friend} [nudged|patted] {him}. \"Will you help me to make one, too?\" {asks friend}.]",
    NULL,
};
const struct stories_plot stories_plot_gift = {
    .name = "gift",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "gift", .table = &gift},
    },
    .text = gift_text,
};
