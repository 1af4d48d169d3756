/* Plots by the water: ships, bridges, messages, lights. */
#include "stories_plots.h"
#include "stories_words.h"

/* clang-format off */

/* ---- a ship goes over land, as ships once did on the Diolkos ---- */

static const struct stories_row necks[] = {
    {0, TAG_SEA, {"Kora"}},      {0, TAG_SEA, {"Lechia"}},    {0, TAG_SEA, {"Corran"}}, {0, TAG_SEA, {"Narrow Neck"}},
    {0, TAG_SEA, {"Kenchra"}},   {0, TAG_SEA, {"Isthmia"}},   {0, TAG_SEA, {"Schoinos"}}, {0, TAG_SEA, {"Sandgate"}},
};
static const struct stories_table neck = {.columns = {"town"}, STORIES_ROWS(necks)};

static const struct stories_row ships[] = {
    {0, 0, {"fishing boat", "[blue|green|red]"}},      {0, 0, {"sailing boat", "[white|yellow|slender]"}},
    {0, 0, {"trading ship", "[fat|brown|painted]"}},   {0, 0, {"ferry", "[old|broad|green]"}},
    {0, 0, {"schooner", "[white|proud|black]"}},    {0, 0, {"mail boat", "[red|quick|grey]"}},
};
static const struct stories_table ship = {.columns = {"ship", "adj"}, STORIES_ROWS(ships)};

static const struct stories_row ship_names[] = {
    {0, 0, {"Swallow"}}, {0, 0, {"Dolphin"}}, {0, 0, {"Morning Star"}}, {0, 0, {"Sea Horse"}}, {0, 0, {"Good Hope"}}, {0, 0, {"Seagull"}},
    {0, 0, {"Merry Fish"}}, {0, 0, {"Little Bear"}}, {0, 0, {"West Wind"}}, {0, 0, {"Thistle"}}, {0, 0, {"Blue Goose"}}, {0, 0, {
        "Penelope"}},
};
static const struct stories_table ship_name = {.columns = {"name"}, STORIES_ROWS(ship_names)};

static const struct stories_row cargoes[] = {
    {0, 0, {"[a hundred|forty] jars of oil"}},
    {0, 0, {"oranges for the children on the islands"}},
    {0, 0, {"medicine for the sick"}},
    {0, 0, {"seed corn for the fields of the islands"}},
    {0, 0, {"[a thousand|nine bags of] letters"}},
    {0, 0, {"blankets for the cold nights"}},
    {0, 0, {"honey and cheese for the great feast"}},
    {0, 0, {"[sixty|a whole forest of] young apple trees"}},
    {0, 0, {"a new bell for a far tower"}},
};
static const struct stories_table cargo = {.columns = {"cargo"}, STORIES_ROWS(cargoes)};

static const struct stories_row roundabouts[] = {
    {0, 0, {"the way around the cape is too long"}},
    {0, 0, {"a storm is raging around the cape"}},
    {0, 0, {"the rocks at the cape have already eaten two ships"}},
    {0, 0, {"the wind has been against us for weeks"}},
};
static const struct stories_table roundabout = {.columns = {"why"}, STORIES_ROWS(roundabouts)};

static const struct stories_row ship_ideas[] = {
    {0, 0, {"{Hero}, {hero.a}, pulled a toy boat on wheels through the streets all day.",
        "\"My boat has wheels and goes over land,\" {says hero}. \"Why not a big one?\"", "set it on wheels"}},
    {0, 0, {"{Hero}, {hero.a}, liked to watch the stonemasons, who rolled their heavy blocks on round logs.",
        "\"The stonemasons roll their blocks on logs,\" {says hero}. \"A ship is lighter than a temple.\"", "pulled it onto round logs"}},
    {0, 0, {"{Hero}, {hero.a}, often watched the ants, a hundred of them under one leaf.",
        "\"The ants carry a leaf over the path because they all pull together,\" {says hero}. \"So can we.\"",
        "built a cart under it, with a rope for everyone"}},
    {0, 0, {"{Hero}, {hero.a}, helped the carter, whose wagon always ran in the same two ruts.",
        "\"A wheel in a rut cannot go astray,\" {says hero}. \"Let us cut two ruts from sea to sea.\"",
        "cut two grooves into the stones of the road"}},
};
static const struct stories_table ship_idea = {.columns = {"clue", "idea", "start"}, STORIES_ROWS(ship_ideas)};

static const struct stories_row ship_snags[] = {
    {0, 0, {"On the hill the ship stood still.", "Then {elder} began to sing, and at each beat they all pulled."}},
    {0, 0, {"Half way up there was a terrible screech, and nothing moved.",
        "{Hero} poured oil where it rubbed, and on it went, without a sound."}},
    {0, 0, {"On the steepest part their strength was not enough.", "{Hero} ran to the farmers and came back with six oxen."}},
    {0, 0, {"On the way down the ship grew faster and faster.", "\"Hold it back!\" {cries hero}, and they hung on the ropes."}},
    {0, 0, {"In a soft place the ship sank into the ground.", "The children laid flat stones before it, and it went on."}},
};
static const struct stories_table ship_snag = {.columns = {"trouble", "way"}, STORIES_ROWS(ship_snags)};

static const char *const diolkos_text[] = {
    "[Long ago there was a town {called} {town}|Far away in the south lay {town}], [on a narrow neck of land between two seas|"
    "with one sea in front and another behind]. "
    "{idea.clue}",
    "\n",
    "[{Day.one}, {a}|One day {a}] {ship.adj} {ship} {called} the {vessel} [came into the harbour|"
    "dropped its anchor before the town], with {cargo} on board. "
    "\"[We must get to the other sea|We have to reach the other shore],\" said {elder}, the captain, \"but {why}.\"",
    "{idea.idea} "
    "\"[Let us try it|That could work|It is worth a try],\" {says elder}.",
    "\n",
    "They [emptied|lightened] the {vessel} and {idea.start}. [All {town} took hold of the ropes.|"
    "Fishermen, bakers and children took hold of the ropes.] [Slowly|With a groan|Creaking like an old door], the {vessel} rolled [up "
    "the hill|past the gardens|between the olive trees]. "
    "{snag.trouble} {snag.way}",
    "\n",
    "[At sunset|As the sun went down|Before it was dark|The next morning] the {vessel} slid into the other sea with a great splash. "
    "[?Everyone cheered.|Hats flew into the air.] "
    "\"[I have sailed for forty years, but never over a hill|Many winds have moved my ship, but today it was the hands of friends|"
    "In all the world nobody ever showed me a shorter way],\" {says elder}. "
    "[?{Elder.he} let {hero} ring the ship's bell.|{Hero} waved until the sail was as small as a feather.|"
    "If you look closely, you can still see the marks in the stone.|Since then every ship that is in a hurry goes by land at {town}, "
    "and nobody laughs.|"
    "What one alone cannot move, many can carry over a mountain.|{glad hero}]",
    NULL,
};
const struct stories_plot stories_plot_diolkos = {
    .name = "diolkos",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &neck},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_NAMED},
        {.name = "ship", .table = &ship},
        {.name = "vessel", .table = &ship_name},
        {.name = "cargo", .table = &cargo},
        {.name = "why", .table = &roundabout},
        {.name = "idea", .table = &ship_idea},
        {.name = "snag", .table = &ship_snag},
    },
    .text = diolkos_text,
};

/* ---- a light that seemed useless brings somebody home ---- */

static const struct stories_row light_kinds[] = {
    {0, 0, {"lantern", "in the window", "[green|red|round]"}},
    {0, 0, {"lamp", "on the window sill", "[little|brass|blue]"}},
    {0, 0, {"candle", "in a jar on the wall", "[white|thick|yellow]"}},
    {0, 0, {"lantern", "on the gate post", "[iron|yellow|old]"}},
    {0, 0, {"lamp", "in the attic window", "[oil|red|small]"}},
};
static const struct stories_table light = {.columns = {"light", "where", "adj"}, STORIES_ROWS(light_kinds)};

static const struct stories_row light_dangers[] = {
    {TAG_SEA, 0, {"a storm came in from the sea. {Friend} was still out in {friend.his} boat",
        "\"I could not tell the sea from the sky,\" {says friend}. \"Then I saw a star, quite low, and I rowed towards it"}},
    {TAG_LAKE, 0, {
        "a thick fog rolled over the lake. Nobody could see a {hand} before their eyes, and {friend} was still out in {friend.his} boat",
        "\"I rowed in circles,\" {says friend}. \"Then I saw a spot of yellow light, and I rowed towards it"}},
    {TAG_HILL, 0, {"clouds came down over the hill. The path was lost in the grey, and {friend} was still up there, looking for a goat",
        "\"I sat down and did not dare to move,\" {says friend}. \"Then there was a glimmer below me, and I walked towards it"}},
    {TAG_WOOD | TAG_FIELD, 0, {
        "it began to snow, and it snowed until every path was gone. {Friend} had gone to the next village and was not yet back",
        "\"Everything was white, and I did not know where I was,\" {says friend}. \"Then I saw a golden glow, and I walked towards it"}},
    {TAG_RIVER, 0, {"it rained so hard that the river came over its banks. It was pitch dark, and {friend} was still on the other side",
        "\"I did not know where the ford was,\" {says friend}. \"Then I saw a light, and it stood just where the ground is firm"}},
};
static const struct stories_table light_danger = {.columns = {"danger", "rescue"}, STORIES_ROWS(light_dangers)};

static const char *const light_text[] = {
    "{intro}",
    "Every evening, [when it grew dark|before supper|as soon as the sun was down], {he} lit {a} {light.adj} {light} and [put|set] "
    "it {light.where}. "
    "[?{His} {relative} had done so before {him}.|{He} had promised it to {his} {relative}.|Nobody had asked {him} to.]",
    "[\"What is it good for?\" asked {friend}, who lived near by.|\"Do you light it for the moths?\" asked {friend}, {friend.a} from "
    "next door.|"
    "\"You waste good light,\" said {friend}, {friend.a} from next door.] "
    "\"[Perhaps somebody will need it one day|It does not cost much to be ready|A light is never wasted],\" {says hero}.",
    "\n",
    "[Then, {night},|But {night}] {danger.danger}. [?{Folk} stood at their doors and called, but nobody answered.|"
    "{Folk} did not know what to do.|There was nothing to be done but wait.] "
    "{Hero} lit the {light}, put it {light.where}, and [sat down beside it|stayed awake to guard it|hoped]. "
    "[?Twice the wind blew it out, and twice {he} lit it again.|Whenever it burned low, {he} gave it new life.|"
    "{He} held {his} {hand}s around it when the wind came.]",
    "\n",
    "[Late in the night|Long after midnight|Towards morning] there was a [knock|sound] at the door. "
    "There stood {friend}, [dripping wet|as white as chalk|shivering], but safe. {danger.rescue}. [It was your {light}.|"
    "There was your {light}.|And here I am.|It led me straight to your door.]\"",
    "[?{Hero} wrapped {friend.him} in a blanket and made [tea|soup].|{Hero} gave {friend.him} hot milk and {his} own blanket.] "
    "[From then on, {friend} lit a {light}, too, every evening.|From that day on {friend} brought a little [oil|wax] every week. "
    "\"For the moths,\" {says friend}.|"
    "Since then there has been a light in every window of {town} at night.] [?A small light is enough, if it is there every night.|"
    "{glad hero}|{sleeps hero}]",
    NULL,
};
const struct stories_plot stories_plot_light = {
    .name = "light",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "light", .table = &light},
        {.name = "danger", .table = &light_danger},
    },
    .text = light_text,
};

/* ---- a message in a bottle is answered ---- */

static const struct stories_row bottle_wishes[] = {
    {0, 0, {"My window looks out on nothing but water. What do you see from yours?",
        "drew everything that could be seen from {his} window: [the roofs, the hill and a cat on a wall|a tree, a fence and three hens|"
        "the street, the well and the baker's cart].",
        "a drawing of blue water, with one very small boat in it."}},
    {0, 0, {"I am learning to play chess, but there is nobody here to play with. I begin: the white pawn goes two steps forward.",
        "thought for three days and then wrote down a move.", "the next move, and the words: \"That was clever.\""}},
    {0, 0, {"It is my birthday, and nobody knows.",
        "wrote \"Happy birthday\" in seven colours, and put a [feather|pressed flower|lucky coin] in with it.",
        "a shell, and a note: \"Now somebody knows.\""}},
    {0, 0, {"I collect stories, and I have read all of mine. Do you know one?",
        "wrote down the story of the fox and the moon, as {his} {relative} told it.",
        "a new story, about two bottles that became friends."}},
    {0, 0, {"Is there anybody out there?", "wrote in big letters: \"Yes! I am here.\"", "a note with four words: \"Then I am glad.\""}},
};
static const struct stories_table bottle_wish = {.columns = {"letter", "reply", "answer"}, STORIES_ROWS(bottle_wishes)};

static const char *const bottle_text[] = {
    "{intro}",
    "[{Day.one}, {hero} walked {spot.at}, and there {he} saw|{Day.one}, {spot.at}, {hero} found] a [green|brown|blue|round] "
    "bottle, and in the bottle was a [letter|rolled-up letter|sheet of paper]. "
    "It said: \"{wish.letter}\" [Below stood a name: {friend}.|It was signed by somebody {called} {friend}.]",
    "\n",
    "[\"Who is {friend}?\" {asks hero}. \"Nobody here,\"|\"Where does {friend} live?\" {asks hero}. \"Not here,\"|"
    "\"Who is {friend}?\" {asks hero}. \"I do not know,\"] "
    "said {elder}, {elder.a}, \"but the water comes from [the far shore|the little island|"
    "the other side]. When the wind turns, it [runs back again|carries things back].\"",
    "So {hero} {wish.reply} {He} [pushed the paper into the bottle|put it into the bottle][, waited for the wind to turn, and threw it "
    "in|, and when the wind turned, {he} threw it in|, waited for the right wind, and watched the bottle bob away].",
    "\n",
    "[A week went by, and another.|Days went by, and then weeks.|The whole month {he} looked, and found only {trifle}.] "
    "[Then, one morning, there lay|But one fine day there lay] the same bottle, [between two stones|in the sand|"
    "in the grass by the water]. In it was {wish.answer}",
    "[Since then the bottle has gone back and forth, summer and winter.|And so it went on, until, one summer day, a boat came in with "
    "a {friend.kind} in it. \"Are you {hero}?\" {asks friend}. \"I am {friend}.\"|"
    "{Hero} read it so often that the paper grew soft.] [?{glad hero}|{close}|A friend can live very far away, and still be near.]",
    NULL,
};
const struct stories_plot stories_plot_bottle = {
    .name = "bottle",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns, .any = TAG_SEA | TAG_LAKE},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "spot", .table = &stories_spots, .any = TAG_SHORE},
        {.name = "wish", .table = &bottle_wish},
    },
    .text = bottle_text,
};

/* ---- a bridge takes three attempts ---- */

static const struct stories_row bridge_reasons[] = {
    {0, 0, {"{Hero} lived on one side of the {stream} and {friend}, {his} best friend, on the other. "
        "[To meet they had to walk for an hour.|They could only wave to each other.]",
        "In the middle {hero} met {friend}, and from then on they could be at each other's door before the [porridge|soup] was cold"}},
    {0, 0, {"On the other side of the {stream} lived {friend}, {friend.a}, [who had broken a leg|"
        "who was ill in bed], and nobody could visit {friend.him}.",
        "{Hero} was the first to cross, with a pot of soup, and {friend} was soon well again"}},
    {0, 0, {"On the other side of the {stream} grew the [sweetest cherries|best blackberries|ripest plums] in the whole land. "
        "{Friend}, {friend.a} who lived over there, threw some across every day, but most of them fell into the water.",
        "In the middle {hero} met {friend}, and there was [jam|cake] enough {town.in} to last until spring"}},
    {0, 0, {"The people on the other side were said to be [proud|strange|unfriendly]. Only {hero} and {friend}, {friend.a} over there, "
        "waved to each other every day.",
        "In the middle {hero} met {friend}, and they found out that the others sang the same songs, only a little faster"}},
};
static const struct stories_table bridge_reason = {.columns = {"why", "end"}, STORIES_ROWS(bridge_reasons)};

static const struct stories_row bridge_firsts[] = {
    {0, 0, {"laid a long plank across", "in the first rain the water took the plank away like a straw"}},
    {0, 0, {"tied three logs together and laid them across", "in the night the water lifted the logs and carried them off"}},
    {0, 0, {"stretched a rope from tree to tree", "the rope swung so wildly that {he} fell into the water"}},
    {0, 0, {"piled up earth to make a dam", "the water dug a hole through it, and in the morning the dam was gone"}},
    {0, 0, {"felled a dead birch so that it lay across", "the birch was rotten, and it broke in the middle with a crack"}},
};
static const struct stories_table bridge_first = {.columns = {"attempt", "fails"}, STORIES_ROWS(bridge_firsts)};

static const struct stories_row bridge_teachers[] = {
    {0, 0, {"watched a spider, who hung her web not on one thread, but on many",
        "\"One rope is not enough,\" {says hero}. \"Each must hold the others.\"",
        "wove a bridge out of [forty|a hundred] ropes"}},
    {0, 0, {"saw how the water ran around a big stone and left it where it was", "\"We must let the water through,\" {says hero}.",
        "built three pillars of heavy stones, with room between them"}},
    {0, 0, {"looked at the old cellar, whose round stones had held for a hundred years",
        "\"An arch!\" {cries hero}. \"Each stone leans on its neighbour, and none can fall.\"",
        "built an arch of stones, beginning from both sides"}},
    {0, 0, {"watched the beavers at work", "\"Let us do as the beavers do,\" {says hero}.",
        "wove thick and thin branches crosswise until nothing moved any more"}},
};
static const struct stories_table bridge_teacher = {.columns = {"saw", "idea", "built"}, STORIES_ROWS(bridge_teachers)};

static const struct stories_row streams[] = {
    {0, 0, {"stream", "[wild|deep|cold]"}}, {0, 0, {"brook", "[noisy|quick|wide]"}}, {0, 0, {"river", "[wide|wild|green]"}},
};
static const struct stories_table stream = {.columns = {"stream", "adj"}, STORIES_ROWS(streams)};

static const char *const bridge_text[] = {
    "{intro} [Behind the last house|Not far from the houses] ran {a} {stream.adj} {stream}, without a bridge.",
    "{reason.why}",
    "\n",
    "[\"We need a bridge,\" {says hero}, and {day.one}|\"I will build a bridge,\" {says hero}. {Day.one}] {he} {first.attempt}. "
    "But {first.fails}. "
    "[Then {he} sat down|So {he} sat down] [on the bank|in the grass] and {teacher.saw}.",
    "\n",
    "{teacher.idea} [{Folk} came to help, one after the other.|{He} drew it in the sand, and they all came to help.] "
    "[?It took [nine days|two weeks|a whole month].] They {teacher.built}. "
    "[Then the rain came, and the bridge stood.|When the next storm was over, the bridge was still there.|"
    "And when the flood came, the bridge did not even tremble.]",
    "\n",
    "{reason.end}. "
    "[?Nobody asked any more whether it could be done.|{glad hero}|A bridge begins on both sides.|{close}]",
    NULL,
};
const struct stories_plot stories_plot_bridge = {
    .name = "bridge",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns, .any = TAG_HILL | TAG_WOOD | TAG_FIELD},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "stream", .table = &stream},
        {.name = "reason", .table = &bridge_reason},
        {.name = "first", .table = &bridge_first},
        {.name = "teacher", .table = &bridge_teacher},
    },
    .text = bridge_text,
};
