/* Who acts in stories: names, kinds, traits. */
#include "stories_words.h"

/* clang-format off */

const char *const stories_names_human[2][64] = {
    {"Ada", "Alma", "Amira", "Anna", "Beth", "Clara", "Dora", "Edda", "Elena", "Ella", "Elsa", "Emma", "Flora", "Freya", "Greta", "Hana",
     "Ida", "Ines", "Jana", "Kira", "Leila", "Lena", "Lina", "Lucy", "Mara", "Maya", "Mia", "Mina", "Nadia", "Nell", "Nora", "Olive",
     "Petra", "Rita", "Rosa", "Ruth", "Sara", "Selma", "Sofia", "Tessa", "Thea", "Yara", "Zoe", NULL},
    {"Adam", "Anton", "Arlo", "Ben", "Bruno", "Carlo", "Dario", "David", "Emil", "Enzo", "Erik", "Felix", "Finn", "Gus", "Henry", "Hugo",
     "Ivo", "Jack", "Jonas", "Karim", "Kofi", "Leo", "Levi", "Luca", "Marco", "Max", "Milo", "Nico", "Noah", "Omar", "Oscar", "Otto",
     "Owen", "Paul", "Peter", "Ravi", "Sam", "Simon", "Theo", "Tim", "Tom", "Victor", "Yusuf", NULL},
};

const char *const stories_names_animal[2][64] = {
    {"Bramble", "Clover", "Daisy", "Dewdrop", "Fern", "Heather", "Juniper", "Maple", "Minty", "Nutmeg", "Pepper", "Pippa", "Poppy",
     "Primrose", "Sorrel", "Tansy", "Tilly", "Velvet", NULL},
    {"Barley", "Basil", "Biscuit", "Bracken", "Bristle", "Burdock", "Button", "Chestnut", "Conker", "Dusty", "Fidget", "Nettle", "Pip",
     "Rufus", "Rusty", "Thistle", "Tuft", "Tumble", "Twig", NULL},
};

const char *const stories_names_old[2][64] = {
    {"Agnes", "Augusta", "Berta", "Cora", "Edith", "Gerda", "Hilda", "Ilse", "Irma", "Magda", "Martha", "Olga", "Sybil", "Tamar",
     "Ursula", "Vera", "Wanda", "Zelda", NULL},
    {"Albert", "Ambrose", "Anselm", "Boris", "Caspar", "Conrad", "Edgar", "Elias", "Gregor", "Gustav", "Horace", "Jakob", "Josef",
     "Ludwig", "Matthias", "Rolf", "Silas", "Tobias", NULL},
};

static const struct stories_row beasts[] = {
    {0, TAG_SMALL, {"mouse", "hole under the roots"}},
    {0, TAG_SMALL, {"dormouse", "nest in the hazel bush"}},
    {0, TAG_TALL, {"hedgehog", "nest of leaves"}},
    {0, TAG_TALL, {"rabbit", "burrow"}},
    {0, TAG_SMALL, {"squirrel", "hollow tree"}},
    {0, TAG_TALL, {"badger", "den"}},
    {0, TAG_TALL, {"fox", "den"}},
    {0, TAG_TALL, {"otter", "den"}},
    {0, TAG_SMALL, {"mole", "tunnel"}},
    {0, TAG_TALL, {"beaver", "lodge"}},
    {0, TAG_TALL, {"bear", "cave"}},
    {0, TAG_SMALL, {"weasel", "hole in the wall"}},
    {0, TAG_TALL, {"raccoon", "hollow tree"}},
    {0, TAG_SMALL, {"hamster", "burrow"}},
};
const struct stories_table stories_beasts = {.columns = {"kind", "home"}, STORIES_ROWS(beasts)};

static const struct stories_row elders[] = {
    {TAG_HUMAN, 0, {"old {x.woman}"}},
    {TAG_HUMAN, 0, {"old sailor"}},
    {TAG_HUMAN, 0, {"old shepherd"}},
    {TAG_HUMAN, 0, {"old teacher"}},
    {TAG_HUMAN, 0, {"old innkeeper"}},
    {TAG_ANIMAL, 0, {"old tortoise"}},
    {TAG_ANIMAL, 0, {"old owl"}},
    {TAG_ANIMAL, 0, {"old toad"}},
    {TAG_ANIMAL, 0, {"old heron"}},
    {TAG_ANIMAL, 0, {"old goat"}},
    {TAG_ANIMAL, 0, {"old raven"}},
    {TAG_ANIMAL, 0, {"old hare"}},
    {TAG_ANIMAL, 0, {"old goose"}},
};
const struct stories_table stories_elders = {.columns = {"kind"}, STORIES_ROWS(elders)};

static const struct stories_row crafts[] = {
    {0, 0, {"baker"}},
    {0, 0, {"potter"}},
    {0, 0, {"weaver"}},
    {0, 0, {"carpenter"}},
    {0, 0, {"blacksmith"}},
    {0, 0, {"cobbler"}},
    {0, 0, {"tailor"}},
    {0, 0, {"miller"}},
    {0, 0, {"gardener"}},
    {0, 0, {"clockmaker"}},
    {0, 0, {"boatbuilder"}},
    {0, 0, {"beekeeper"}},
    {0, 0, {"basket maker"}},
    {0, 0, {"candle maker"}},
    {0, 0, {"toymaker"}},
    {0, 0, {"sailmaker"}},
    {0, 0, {"rope maker"}},
    {0, 0, {"stonemason"}},
    {0, 0, {"net maker"}},
    {0, 0, {"bookbinder"}},
};
const struct stories_table stories_crafts = {.columns = {"kind"}, STORIES_ROWS(crafts)};

static const struct stories_row traits[] = {
    {0, 0, {"curious", "who [asked questions from breakfast to bedtime|looked under every stone]"}},
    {0, 0, {"patient", "who could watch a snail cross the whole path"}},
    {0, 0, {"shy", "who spoke softly and listened well"}},
    {0, 0, {"brave", "who was [afraid of hardly anything|only a little afraid of the dark]"}},
    {0, 0, {"careful", "who counted everything twice"}},
    {0, 0, {"cheerful", "who [sang before breakfast|whistled even in the rain]"}},
    {0, 0, {"quiet", "who noticed what others missed"}},
    {0, 0, {"clever", "who [always had an idea|never ran out of ideas]"}},
    {0, 0, {"dreamy", "who liked to lie in the grass and name the clouds"}},
    {0, 0, {"gentle", "who never stepped on a beetle"}},
    {0, 0, {"lively", "who [ran everywhere, even to bed|could not sit still for long]"}},
    {0, 0, {"generous", "who always gave away the bigger half"}},
    {0, 0, {"merry", "who laughed at {x.his} own jokes"}},
    {0, 0, {"restless", "who wanted to see what was behind every hill"}},
    {0, 0, {"thoughtful", "who thought first and spoke afterwards"}},
    {0, 0, {"tidy", "who kept all {x.his} treasures in a row"}},
    {0, 0, {"stubborn", "who never gave up before the end"}},
    {0, 0, {"friendly", "who said good morning even to the ducks"}},
    {0, 0, {"helpful", "who was always there when something had to be carried"}},
    {0, 0, {"honest", "who blushed at the smallest fib"}},
    {0, 0, {"eager", "who was up before the birds"}},
    {0, 0, {"daring", "who had climbed every tree at least once"}},
    {0, 0, {"hopeful", "who saw something good in every puddle"}},
    {0, 0, {"playful", "who could make a game of anything"}},
    {0, 0, {"inventive", "who could make a boat out of a nutshell"}},
};
const struct stories_table stories_traits = {.columns = {"trait", "habit"}, STORIES_ROWS(traits)};
