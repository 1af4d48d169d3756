/* Plots between friends and neighbours: contests, quarrels, meals, guests. */
#include "stories_plots.h"
#include "stories_words.h"

/* clang-format off */

/* ---- a friend has a secret, and it is a good one ---- */

static const struct stories_row secrets[] = {
    {0, 0, {"there was sawdust in {friend.his} hair", "a little table and two chairs, just big enough for the two of them",
        "sat on the new chairs until dark"}},
    {0, 0, {"there was blue paint on {friend.his} nose", "a boat, painted blue, with {hero}'s name on the bow",
        "took the boat out to sea, or at least to the biggest puddle in {town}"}},
    {0, 0, {"there was flour on {friend.his} ears", "a cake as tall as a hat, with a candle for each of {hero}'s years",
        "ate the cake down to the last crumb"}},
    {0, 0, {"there were leaves and twigs on {friend.his} coat", "a house in the tree, with a rope ladder and a window to the west",
        "pulled up the ladder and watched the sun go down"}},
    {0, 0, {"{friend.he} hummed a tune that nobody knew",
        "a song. {Friend} stood up on a box and sang it from the first verse to the last, and it was about {hero}",
        "sang it together until they were hoarse"}},
    {0, 0, {"{friend.he} had bits of coloured wool all over {friend.him}",
        "a blanket with a picture of {town} on it, and both their houses side by side", "sat under the blanket and told stories"}},
    {0, 0, {"{friend.he} smelled of glue", "a dragon kite with a tail as long as a street, and room for two {hand}s on the string",
        "flew the dragon until the stars came out"}},
};
static const struct stories_table secret = {.columns = {"sign", "surprise", "then"}, STORIES_ROWS(secrets)};

static const char *const secret_text[] = {
    "{intro} {friendship friend} [?Every afternoon they met {spot1.at}.|No day went by on which they did not play {spot1.at}.]",
    "\n",
    "[Then, {day.one}, {friend} did not come.|But {day.one} {hero} waited, and {friend} did not come.|"
    "But {day.one} everything was different.] "
    "\"I have no time,\" said {friend}, and [looked at {friend.his} feet|shut the door|ran off]. [?The next day it was the same.|"
    "And the day after that {friend.he} had no time, either.] "
    "[{Hero} noticed that|It was odd, too, that|When they met {spot2.at},] {secret.sign}. [?\"Where have you been?\" {asks hero}. "
    "\"Nowhere,\" {says friend} quickly.]",
    "[\"{Friend} does not like me any more,\" thought {hero}.|\"I must have done something wrong,\" thought {hero}.|"
    "\"{Friend.he} has found a better friend,\" thought {hero}.] "
    "[?{He} ate {his} bread alone.|{He} kicked a stone all the way home.|{He} played alone, and it was no fun.|"
    "{He} made up {his} mind never to speak to {friend} again.|At night {he} cried a little, but only into the pillow.|"
    "{He} was first sad, then angry, and then sad again.]",
    "\n",
    "[On the fifth day|Then, on {hero}'s birthday,|A week later] there was a knock. {Friend} stood there, [out of breath|"
    "with shining eyes|hopping from one foot to the other]. \"[Come with me, quickly|Shut your eyes and come|"
    "It is ready],\" {says friend}. "
    "[?{Hero} wanted to say no, but {his} feet had already said yes.|{Hero} went along, slowly, with {his} {hand}s in {his} pockets.] "
    "[And there it was|{Friend} pulled away a cloth, and there it was|{Friend.he} threw open a door, and there it was]: "
    "{secret.surprise}.",
    "\"[I wanted it to be a surprise|It was so hard not to tell you|I am bad at secrets],\" {says friend}. "
    "\"[And I thought that you did not like me any more|And I was so angry with you],\" {says hero}. "
    "[?\"Next time, ask me,\" {says friend}.]",
    "\n",
    "They {secret.then}. [?{glad hero}|{close}|And {hero} remembered that a closed door can have something good behind it.]",
    NULL,
};
const struct stories_plot stories_plot_secret = {
    .name = "secret",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "spot1", .table = &stories_spots},
        {.name = "spot2", .table = &stories_spots},
        {.name = "secret", .table = &secret},
    },
    .text = secret_text,
};

/* ---- a race is not won by the first ---- */

static const struct stories_row races[] = {
    {TAG_WATER, 0, {"boat race", "to the buoy and back", "oiled the oars and looked at every plank",
        "{rival}'s oar broke with a crack, and {rival.his} boat began to drift away",
        "threw {rival.him} a rope and took {rival.his} boat in tow"}},
    {0, 0, {"soap-box race", "from the top of the hill to the old wall", "turned the wheels until none of them squeaked",
        "a wheel came off {rival}'s cart, and {rival.he} landed in a bush", "pulled {rival.him} out of the bush and looked for the wheel"}},
    {0, 0, {"long run", "three times around {town}", "got up early each morning and ran to {spot} and back",
        "{rival} stepped into a hole and could not get up", "put {rival}'s arm around {his} own neck and walked with {rival.him}"}},
    {TAG_RIVER | TAG_LAKE, 0, {"raft race", "from the landing stage to the last willow", "tied every knot twice",
        "{rival}'s raft came apart, and {rival.he} clung to a single log", "steered {his} raft over and pulled {rival.him} on board"}},
    {TAG_COLD, 0, {"sledge race", "from {spot} down to the frozen pond", "rubbed the runners with wax until they shone",
        "{rival}'s sledge turned over, and there was nothing to be seen of {rival.him} but two boots in the snow",
        "stopped and dug {rival.him} out with both {hand}s"}},
    {TAG_WARM, 0, {"swimming race", "across the pond and back", "swam a little further each day",
        "{rival} got a cramp in {rival.his} leg and called for help", "turned around and pulled {rival.him} to the bank"}},
    {0, 0, {"race on stilts", "from {spot} to the big stone", "practised every evening until it was too dark to see",
        "{rival} got stuck in the mud with one stilt and stood there like a stork",
        "turned back and pulled, until the stilt came out with a plop"}},
    {0, 0, {"mountain race", "up to the highest rock and down again", "packed {his} bag with care: a blanket, a cup and a whistle",
        "{rival} had drunk up {rival.his} water and sat by the road with dry lips", "shared {his} water with {rival.him}, one sip each"}},
};
static const struct stories_table race = {.columns = {"race", "course", "work", "trouble", "help"}, STORIES_ROWS(races)};

static const struct stories_row prizes[] = {
    {0, 0, {"a golden cup"}}, {0, 0, {"a silver spoon"}},       {0, 0, {"a cheese as big as a wheel"}}, {0, 0, {"a blue ribbon"}},
    {0, 0, {"a new hat"}},    {0, 0, {"a cake with three layers"}}, {0, 0, {"a real compass"}},        {0, 0, {"a basket of peaches"}},
};
static const struct stories_table prize = {.columns = {"prize"}, STORIES_ROWS(prizes)};

static const char *const race_text[] = {
    "{intro}",
    "[Every year there was|{Town.in} there was, every year,|Once a year they held] a {race.race}, {race.course}, and the winner was "
    "given {prize}. "
    "[Every day {hero}|For weeks {hero}] {race.work}. "
    "[\"Why so much work?\" said {rival}, {rival.a} from next door. \"I shall win anyway.\"|"
    "\"I am faster than all of you,\" said {rival}, {rival.a}, and yawned.|{Rival}, {rival.a}, only laughed. "
    "\"You will see me from behind.\"]",
    "\n",
    "Then the day came. [?All {town} had come to watch.|Everybody stood along the way and waved.] \"[Ready, steady, go|"
    "One, two, three]!\" cried {elder}, {elder.a}, and off they went. "
    "[?{Rival} was in front, and {hero} close behind.|{Hero} and {rival} soon left all the others behind.] "
    "[Half way along,|Then, just before the end,|But at the hardest place] {race.trouble}. [?The way to {prize} was free.|"
    "{Hero} could see the finish.|\"Now you can win!\" somebody called.] "
    "{Hero} [looked ahead, and then back|did not think about it for long]. Then {he} {race.help}. "
    "[?The others went past them, one after the other.|One by one the others overtook them.]",
    "\n",
    "[They came in last|Together they came in last|{Hero} and {rival} were the very last], [side by side|laughing|"
    "out of breath], [and the people clapped louder than for the winner|and everyone clapped]. "
    "[\"Why did you do that?\" {asks rival}.|\"You could have won,\" {says rival}.] \"[I did not want to win like that|"
    "It is no fun to win alone|There will be another race next year],\" {says hero}.",
    "[?{Elder} scratched {elder.his} head. \"We have a first prize,\" {says elder}, \"but I have never seen a better race.\"|"
    "{Rival} held out {rival.his} {hand}. \"Next year we train together,\" {says rival}.] "
    "[{glad hero}|{sleeps hero}|And that was worth more than {prize}.|From that day on the two of them were friends.]",
    NULL,
};
const struct stories_plot stories_plot_race = {
    .name = "race",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "rival", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "spot", .table = &stories_spots},
        {.name = "race", .table = &race},
        {.name = "prize", .table = &prize},
    },
    .text = race_text,
};

/* ---- everybody brings something to the soup ---- */

static const char *const soup_text[] = {
    "[{Day.one}, a hungry [traveller|wanderer] {called} {guest} came to {town}, {town.kind}.|"
    "To {town}, {town.kind}, there came, {day.one}, a hungry [traveller|stranger] {called} {guest}.] "
    "{Guest} [knocked at every door|went from house to house], but only {hero}, {hero.a}, opened. "
    "\"[We have nothing but a pot and water|There is only hot water in our pot],\" {says hero}. \"[Then we have nearly everything|"
    "That is a good beginning],\" {says guest}.",
    "\n",
    "They [carried the pot to the square|put the pot on a fire in the street|lit a fire by the well]. "
    "{Guest} stirred the water with a long spoon and [hummed|smiled|tasted it]. "
    "\"[What are you cooking|What is that going to be]?\" asked {one}, the {one.kind}, [over the fence|from the window]. "
    "\"[The best soup in the world|Everybody's soup],\" {says guest}. \"[Only some {soup1} would make it better|"
    "It lacks nothing but {soup1}].\" "
    "[So {one} brought|{One} disappeared and came back with|{One} thought about it, went in, and brought] {soup1.some}.",
    "[Soon|A little later] {two}, the {two.kind}, came by. \"[What it needs now is {soup2}|{Soup2} would do it good],\" [murmured|"
    "said] {guest}. [So {two} ran home and got|\"Wait,\" {says two}, and brought] {soup2.some}. "
    "Then {hero} [remembered|found] {soup3.some} [under the stairs|in the cellar|in the garden], and [added that|put that in, too].",
    "\n",
    "[The steam rose over the roofs|The smell went through every keyhole], and [people came with bowls and spoons|"
    "doors opened everywhere|soon all {town} stood around the pot with spoons]. [?There was enough for everyone, and then some more.|"
    "They ate until the bottom of the pot could be seen.] "
    "[\"Who made this soup?\" {asks two}. \"You did,\" {says guest}.|\"And all this was made of nothing!\" {says one}. "
    "\"No,\" {says guest}. \"Of {soup1}, {soup2} and {soup3}.\"|\"It is magic,\" {says one}. "
    "\"It is only sharing,\" {says guest}, \"but it comes to the same.\"]",
    "[?In the morning {guest} was gone, but the spoon lay on {hero}'s step.|{Guest} stayed the night with {hero}, and the night after "
    "that, too.|When {guest} went on {guest.his} way, there were seven loaves in {guest.his} bag.|"
    "Since then they have cooked together {town.in} [every week|every month], in the same big pot.|{glad hero}|"
    "And no door {town.in} has been shut to a hungry stranger since.]",
    NULL,
};
const struct stories_plot stories_plot_soup = {
    .name = "soup",
    .worlds = TAG_HUMAN,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "guest", .role = STORIES_NAMED},
        {.name = "one", .role = STORIES_CRAFT},
        {.name = "two", .role = STORIES_CRAFT},
        {.name = "soup1", .table = &stories_ingredients},
        {.name = "soup2", .table = &stories_ingredients},
        {.name = "soup3", .table = &stories_ingredients},
    },
    .text = soup_text,
};

/* ---- two want the last piece ---- */

static const struct stories_row share_thirds[] = {
    {0, 0, {"a crow swooped down, took the {food} in its beak, and flew away",
        "The crow dropped it over the nearest pond, where the ducks ate it up", "crow"}},
    {TAG_HUMAN, 0, {"the neighbours' dog came around the corner, and with one gulp the {food} was gone",
        "The dog licked its nose and looked for more", "dog"}},
    {0, 0, {"the {food} slipped out of their {hand}s and fell into the mud", "A troop of ants came marching up and had a feast", "ants"}},
    {TAG_HUMAN, 0, {"a goat put its head through the fence, and the {food} was gone, and the napkin, too",
        "The goat chewed and looked at them kindly", "goat"}},
    {0, 0, {"a jay snatched the {food} and sat down with it in the highest tree", "The jay ate it all, slowly, in front of their eyes",
        "jay"}},
};
static const struct stories_table share_third = {.columns = {"loss", "then", "guest"}, STORIES_ROWS(share_thirds)};

static const char *const share_text[] = {
    "{intro} {friendship friend}",
    "[{Day.one}, {elder}, {elder.a}, gave them|{Day.one}, {elder}, {elder.a} next door, handed them|"
    "{Day.one}, when they had carried wood for {elder}, {elder.a}, they were given] {a} {food.full}. "
    "[?It smelled of [butter|sugar|cinnamon].|It was still warm.|They had never seen such a fine one.] [But there was only one.|"
    "\"Share it,\" {says elder}.]",
    "\n",
    "They sat down {spot.at}. \"[I carried it, so the bigger half is mine|I am bigger, so I get more|I saw it first],\" {says hero}. "
    "\"[And I worked harder|And I am hungrier|But I am the guest],\" {says friend}. "
    "[?\"You always take more!\" \"No, you do!\"|One word led to the other.|Soon they did not talk any more, they shouted.] "
    "[Then, all of a sudden|And just then|But all of a sudden], {third.loss}. {third.then}.",
    "\n",
    "[It was very quiet.|They stood there with empty {hand}s.|For a while neither said a word.] "
    "[?\"Now we both have the same,\" {sighs friend}. \"Nothing.\"] "
    "[Then one of them began to giggle, and then the other.|Then they both had to laugh.|\"We were silly,\" they said, both at once.] "
    "[\"I would have given you half,\" {says hero}. \"And I you,\" {says friend}.|\"A half would have been quite a lot,\" {says "
    "friend}.]",
    "\n",
    "[The next week|A few days later|On Sunday] {elder} gave them another {food}. [?{Elder.he} had heard the story.|"
    "\"I hear you have studied sharing,\" {says elder}.] {Hero} cut it in two, as evenly as {he} could, and said, \"You choose "
    "first.\" "
    "[{Friend} took the smaller {food.piece} and broke off a corner of it for the {third.guest}.|"
    "{Friend} took one {food.piece}, and both of them laid aside a crumb for the {third.guest}.|"
    "{Friend} took the smaller {food.piece}.] "
    "[?It was the best {food} they had ever tasted.|Half {a} {food}, they found, tastes better than a whole one alone.|{glad hero}]",
    NULL,
};
const struct stories_plot stories_plot_share = {
    .name = "share",
    .worlds = TAG_WORLD,
    .slots = {
        {.name = "town", .table = &stories_towns},
        {.name = "day", .table = &stories_days, .any = TAG_FAIR},
        {.name = "hero", .role = STORIES_PEER},
        {.name = "friend", .role = STORIES_PEER},
        {.name = "elder", .role = STORIES_ELDER},
        {.name = "food", .table = &stories_foods},
        {.name = "spot", .table = &stories_spots},
        {.name = "third", .table = &share_third},
    },
    .text = share_text,
};
