/* What one can own, eat and cook in stories. */
#include "stories_words.h"

/* clang-format off */

#define FULL "{x.adj} {x}"

/* "He {love}": what the owner does with it. */
static const struct stories_row things[] = {
    {0, TAG_LIGHT | TAG_SOFT, {"kite", "[red|blue|yellow|striped|green]", FULL,
        "[flew it as soon as the wind was right|liked to fly it higher than any bird]"}},
    {0, TAG_SMALL | TAG_HARD, {"spinning top", "[red|striped|tin|wooden]", FULL, "could make it spin until it sang"}},
    {0, TAG_HARD, {"wooden horse", "[white|brown|spotted|little]", FULL, "galloped it up and down the path"}},
    {0, TAG_LIGHT | TAG_SOFT, {"rag doll", "[floppy|patched|soft|little]", FULL, "told it all {his} secrets"}},
    {0, TAG_HARD, {"toy boat", "[blue|white|green|little]", FULL, "sailed it in every puddle"}},
    {0, TAG_SOFT, {"ball", "[red|blue|striped|leather]", FULL, "bounced it from morning till night"}},
    {0, TAG_HARD, {"hoop", "[wooden|yellow|big]", FULL, "rolled it down every slope"}},
    {0, TAG_HARD, {"puppet", "[wooden|long-nosed|funny]", FULL, "made it dance and bow for everyone"}},
    {0, TAG_SMALL | TAG_SHINY, {"marble", "[green|blue|glass|golden]", FULL,
        "liked to hold it up to the sun and look at the light in it"}},
    {0, TAG_SOFT, {"skipping rope", "[red|long|striped]", FULL, "could skip with it a hundred times without a stop"}},
    {0, TAG_LIGHT | TAG_SOFT, {"paper windmill", "[red|blue|yellow|many-coloured]", FULL, "ran with it to make it whirl"}},
    {0, TAG_LIGHT | TAG_SOFT, {"paper boat", "[white|yellow|blue]", FULL, "had folded it {himself}, and was proud of every fold"}},
    {0, TAG_SOFT, {"toy bear", "[brown|woolly|one-eared|old]", FULL, "never went to sleep without it"}},
    {0, TAG_HARD, {"toy cart", "[red|green|wooden]", FULL, "pulled it behind {him} wherever {he} went"}},
    {0, TAG_SMALL | TAG_METAL, {"tin soldier", "[brave little|blue|dented]", FULL, "stood it on guard beside the bed"}},
    {0, TAG_SOFT, {"picture book", "[blue|old|thick|worn]", FULL, "knew every page of it by heart"}},

    {0, TAG_HARD, {"drum", "[red|little|tin]", FULL, "beat it in time with {his} steps"}},
    {0, TAG_SMALL | TAG_SHINY | TAG_METAL, {"whistle", "[tin|silver|brass]", FULL, "could blow three notes on it"}},
    {0, TAG_HARD, {"flute", "[wooden|slim|black]", FULL, "played it every evening"}},
    {0, TAG_HARD, {"fiddle", "[old|brown|little]", FULL, "was learning to play a tune on it"}},
    {0, TAG_SMALL | TAG_SHINY | TAG_METAL, {"mouth organ", "[silver|tin|dented]", FULL, "could play it with {his} eyes shut"}},
    {0, TAG_SHINY | TAG_METAL, {"tambourine", "[red|little|jingling]", FULL, "shook it at every feast"}},
    {0, TAG_SMALL | TAG_SHINY | TAG_METAL, {"bell", "[silver|brass|tiny]", FULL, "rang it when {he} was happy"}},
    {0, TAG_SHINY | TAG_METAL, {"trumpet", "[brass|golden|dented]", FULL, "could make it sound like an elephant"}},

    {0, TAG_SMALL | TAG_SHINY, {"button", "[silver|brass|golden|blue]", FULL, "wore it on a string around {his} neck"}},
    {0, TAG_SMALL | TAG_SHINY, {"key", "[brass|iron|tiny|rusty]", FULL, "often wondered which door it opened"}},
    {0, TAG_SMALL | TAG_SHINY, {"coin", "[copper|silver|foreign]", FULL, "rubbed it for luck"}},
    {0, TAG_SMALL | TAG_SHINY, {"ring", "[silver|golden|thin]", FULL, "wore it only on holidays"}},
    {0, TAG_SMALL | TAG_SHINY, {"locket", "[silver|golden|round]", FULL, "kept a tiny picture in it"}},
    {0, TAG_SMALL | TAG_SHINY, {"compass", "[brass|little|round]", FULL, "always knew where north was"}},
    {0, TAG_SMALL | TAG_SHINY, {"thimble", "[silver|copper|dented]", FULL, "wore it like a helmet on {his} thumb"}},
    {0, TAG_SMALL | TAG_SHINY, {"pocket watch", "[silver|golden|round]", FULL, "held it to {his} ear to hear it tick"}},
    {0, TAG_SMALL | TAG_SHINY, {"brooch", "[silver|blue|golden]", FULL, "pinned it on every morning"}},
    {0, TAG_SMALL | TAG_SHINY, {"medal", "[golden|bronze|shiny]", FULL, "polished it every night"}},
    {0, TAG_SMALL | TAG_SHINY, {"spoon", "[silver|tin|little]", FULL, "ate {his} porridge with it every morning"}},
    {0, TAG_SMALL | TAG_SHINY, {"glass bead", "[red|green|yellow|blue]", FULL, "saw the world in new colours through it"}},
    {0, TAG_SMALL | TAG_SHINY, {"pocket mirror", "[round|silver|tiny]", FULL, "made spots of sunlight dance with it"}},
    {0, TAG_SMALL | TAG_SHINY, {"magnifying glass", "[round|big|brass]", FULL, "looked at ants with it until they were as big as dogs"}},
    {0, TAG_SMALL, {"shell", "[pink|white|spotted]", FULL, "listened to the sea in it"}},
    {0, TAG_SMALL, {"pebble", "[white|striped|smooth|lucky]", FULL, "carried it everywhere"}},
    {0, TAG_SMALL | TAG_LIGHT, {"feather", "[blue|white|long]", FULL, "wore it behind {his} ear"}},
    {0, TAG_SMALL, {"pencil", "[red|short|green]", FULL, "drew birds with it on every scrap of paper"}},
    {0, TAG_SMALL, {"wooden fish", "[blue|carved|tiny]", FULL, "let it swim in {his} bath"}},
    {0, TAG_SMALL, {"wooden bird", "[carved|yellow|tiny]", FULL, "talked to it when {he} was alone"}},
    {0, TAG_SMALL | TAG_LIGHT, {"ribbon", "[red|blue|silk|green]", FULL, "tied it on for every feast"}},

    {0, TAG_LIGHT | TAG_SOFT, {"scarf", "[red|woollen|striped|yellow]", FULL, "wore it even in summer"}},
    {0, TAG_LIGHT | TAG_SOFT, {"cap", "[blue|green|checked|woollen]", FULL, "wore it even in bed"}},
    {0, TAG_LIGHT | TAG_SOFT, {"straw hat", "[yellow|wide|old]", FULL, "never went out in the sun without it"}},
    {0, TAG_LIGHT | TAG_SOFT, {"handkerchief", "[white|spotted|silk]", FULL, "kept it clean for great moments"}},
    {0, TAG_LIGHT | TAG_SOFT, {"shawl", "[woollen|soft|blue]", FULL, "wrapped it around {him} like a pair of wings"}},
    {0, TAG_SOFT, {"cloak", "[red|green|long]", FULL, "felt like a traveller in it"}},
    {0, TAG_SOFT, {"belt", "[leather|red|broad]", FULL, "wore it with great pride"}},
    {0, TAG_LIGHT | TAG_SOFT, {"mitten", "[red|blue|striped]", FULL, "warmed {his} left {hand} in it, since there was only one"}},
};
const struct stories_table stories_things = {.columns = {"thing", "adj", "full", "love"}, STORIES_ROWS(things)};

static const struct stories_row foods[] = {
    {0, 0, {"apple pie", "slice", "[warm|fresh|golden] apple pie"}},
    {0, 0, {"plum cake", "slice", "[dark|sweet|fresh] plum cake"}},
    {0, 0, {"honey cake", "piece", "[sticky|golden|warm] honey cake"}},
    {0, 0, {"cherry tart", "piece", "[red|sweet|shiny] cherry tart"}},
    {0, 0, {"pear tart", "piece", "[sweet|golden] pear tart"}},
    {0, 0, {"nut cake", "slice", "[crisp|round|fresh] nut cake"}},
    {0, 0, {"seed cake", "slice", "[round|fresh] seed cake"}},
    {0, 0, {"carrot cake", "slice", "[tall|sweet|fresh] carrot cake"}},
    {0, 0, {"currant bun", "half", "[warm|sticky|big] currant bun"}},
    {0, 0, {"blackberry pie", "slice", "[dark|warm|sweet] blackberry pie"}},
    {0, 0, {"walnut loaf", "slice", "[brown|warm|fresh] walnut loaf"}},
    {0, 0, {"pancake", "half", "[hot|golden|huge] pancake"}},
    {0, 0, {"poppy-seed roll", "half", "[fresh|long|sweet] poppy-seed roll"}},
    {0, 0, {"gingerbread heart", "piece", "[big|brown|spicy] gingerbread heart"}},
    {0, 0, {"oat cake", "piece", "[round|crisp|thick] oat cake"}},
    {0, 0, {"cream bun", "half", "[soft|round|fresh] cream bun"}},
};
const struct stories_table stories_foods = {.columns = {"food", "piece", "full"}, STORIES_ROWS(foods)};

static const struct stories_row ingredients[] = {
    {0, 0, {"carrots", "[three|five|six] [fat|crooked|sweet] carrots"}},
    {0, 0, {"onions", "[two|three|four] [red|round|yellow] onions"}},
    {0, 0, {"potatoes", "[a basket|a sack|a bowl] of potatoes"}},
    {0, 0, {"leeks", "[two|three] [long|tall] leeks"}},
    {0, 0, {"beans", "[a bowl|a bag|a cup] of [white|green|speckled] beans"}},
    {0, 0, {"mushrooms", "[a hat|a basket|a bowl] full of mushrooms"}},
    {0, 0, {"peas", "[a jug|a cup|a bowl] of [sweet|green] peas"}},
    {0, 0, {"turnips", "[two|three] [big|purple|heavy] turnips"}},
    {0, 0, {"cabbage", "[a round|an enormous|a crisp] cabbage"}},
    {0, 0, {"parsley", "[a bunch|a whole bush] of parsley"}},
    {0, 0, {"barley", "[a sack|a cup|a scoop] of barley"}},
    {0, 0, {"lentils", "[a jar|a bag|a cup] of [red|brown] lentils"}},
    {0, 0, {"garlic", "[a string|a plait] of garlic"}},
    {0, 0, {"chestnuts", "[a pocketful|a bowl] of chestnuts"}},
    {0, 0, {"pumpkin", "[half a|a small|an orange] pumpkin"}},
    {0, 0, {"herbs", "[a bundle|a handful] of [fresh|dried] herbs"}},
    {0, 0, {"beets", "[four|five] [dark|red] beets"}},
    {0, 0, {"celery", "[a stick|a bunch] of celery"}},
};
const struct stories_table stories_ingredients = {.columns = {"ingredient", "some"}, STORIES_ROWS(ingredients)};
