#include "stories_phrases.h"

#include <string.h>

/* clang-format off */

const struct stories_phrase stories_phrases[] = {
    {"asks", "[asked {x.any}|{x.any} asked|{x.any} wanted to know|asked {x.any}]"},
    {"called", "[called|named|called]"},
    {"close",
        "[When they said good night, the first stars were out.|And the moon, who had seen it all, went on shining.|"
        "It was late when the last light went out in {town}.|And if you listen well, you can still hear them laughing.|"
        "It was one of those days that one remembers when one is old.|That evening the sky over {town} was as red as a rose.|"
        "So it was, and so it should be.|And they all slept late the next morning.|The evening smelled of [hay|rain|"
        "smoke and apples], and all was well in {town}.|"
        "Somewhere a cricket began to sing.|The moon came up, round and yellow as a cheese.|"
        "Even the old people could not remember a better day.|"
        "It is told in {town} to this day, and each time it is a little longer.|And when it rains, they still talk about it by the "
        "stove.]"},
    {"cries", "[cried {x.any}|called {x.any}|shouted {x.any}|{x.any} cried|{x.any} called out|exclaimed {x.any}]"},
    {"folk", "[@human the neighbours|@human the people of {town}|@animal the animals|@animal the neighbours]"},
    {"friendship",
        "[{His} best friend was {x.a} {called} {x}.|{X}, {x.a} {x.habit}, was {his} best friend.|"
        "{He} had a friend {called} {x}, {x.a}.|{He} and {x}, {x.a}, did everything together.]"},
    {"from",
        "[that {his} {relative} had given {him}|that had once belonged to {his} {relative}|that {he} had been given by {his} {relative}|"
        "that {his} {relative} had sent {him}]"},
    {"glad",
        "[{X} felt [as light as a feather|warm from head to toe|as tall as a tree|as proud as a peacock|warm right down to {x.his} toes].|"
        "{X} was so [happy|glad] that {x.he} [danced|skipped|sang|hummed] all the way home.|"
        "{X} could not stop smiling[| all evening| for the rest of the day].|"
        "{X} smiled so widely that {x.his} cheeks hurt.|"
        "{X} laughed [out loud|aloud], and it was a good sound.|"
        "{X} [turned a somersault|threw {x.his} hat into the air|spun around three times|skipped down the path] for joy.|"
        "{X} hummed [a little tune|the same tune] for the rest of the day.|"
        "{X} was [quite red|pink] with joy, up to the ears.|"
        "{X} could have hugged [the whole world|everyone, even the cactus on the window sill|every tree in sight].|"
        "{X} said nothing at all, but {x.his} eyes were shining.|"
        "{X} had never [felt so proud|been so happy|laughed so much] in all {x.his} life.|"
        "{X} grinned from ear to ear.|"
        "{X} felt [a warm glow|something warm] inside, like [hot soup|the first sun] in winter.|"
        "{X} took a deep breath, and [the world smelled of summer|everything was well again|all the worry was gone].|"
        "There was nobody happier than {x} in all of {town}.|"
        "{X}'s heart [hopped like a frog|jumped for joy|was as full as a basket in autumn].]"},
    {"intro",
        "[Once upon a time, {town.in}, there lived {hero.a} {called} {hero}.|"
        "Once upon a time there was {hero.a} {called} {hero} who lived {town.in}.|"
        "Long ago, {town.in}, {town.detail}, there lived {hero.a} {called} {hero}.|"
        "{Town.in}, {town.kind}, there lived {hero.a} {called} {hero}.|"
        "{Town.in}, {town.detail}, lived {hero.a} {called} {hero}.|"
        "{Hero} was {hero.a} who lived {town.in}, {town.kind}.|"
        "{Hero} was {hero.a} {hero.habit}. {He} lived {town.in}.|"
        "{Hero} lived {town.in}, {town.detail}. {He} was {hero.a}.|"
        "{Town} was {town.kind}. {Hero} lived there, {hero.a} {hero.habit}.|"
        "Everyone {town.in} knew {hero}, {hero.a} {hero.habit}.|"
        "There was once {hero.a} {called} {hero} who lived {town.in}.|"
        "Not so long ago, {hero.a} {called} {hero} lived {town.in}, {town.detail}.|"
        "{Town.in} they still tell the story of {hero}, {hero.a} {hero.habit}.|"
        "This is the story of {hero}, {hero.a} from {town}, {town.kind}.]"},
    {"night", "[one night in November|one night in March|one dark night|on the darkest night of the year|late one evening|"
        "one long winter night]"},
    {"relative", "[grandmother|grandfather|aunt|uncle|godmother|great-aunt|mother|father|big sister|big brother]"},
    {"says", "[said {x.any}|said {x.any}|{x.any} said]"},
    {"sighs", "[sighed {x.any}|{x.any} sighed|said {x.any} sadly|said {x.any} in a small voice|{x.any} said with a sigh]"},
    {"sleeps",
        "[That night {x} slept [soundly|deeply|well], [and the wind sang outside|and dreamed of [boats|birds|the sea|honey cakes|"
        "tall trees]].|"
        "That night {x} fell asleep [with a smile|before {x.he} could count to ten|as soon as {x.he} lay down].|"
        "When {x} lay in bed that evening, {x.he} [was still smiling|thought about it all once more].|"
        "{X} went to bed [tired and happy|late and happy|with a warm heart] that night.]"},
    {"trifle",
        "[an old boot|two beetles and a bent nail|a very surprised toad|a snail and a broken cup|a mouse who knew nothing|"
        "three blue eggshells|"
        "a rusty hinge|half a biscuit|a sleeping cat|a puddle with a beetle in it|last year's nuts|a cork and a bent pin]"},
    {"whispers", "[whispered {x.any}|{x.any} whispered|said {x.any} softly|{x.any} said quietly|murmured {x.any}]"},
};
const size_t stories_phrase_count = sizeof stories_phrases / sizeof *stories_phrases;

/* clang-format on */

/* As memcmp would, and a shorter name first. */
static int compare(const char *name, size_t name_size, const char *other)
{
    const size_t other_size = strlen(other);
    const int order = memcmp(name, other, name_size < other_size ? name_size : other_size);

    return order != 0 ? order : (name_size > other_size) - (name_size < other_size);
}

const struct stories_phrase *stories_phrase_find(const char *name, size_t name_size)
{
    size_t begin = 0;
    size_t end = stories_phrase_count;

    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2;
        const int order = compare(name, name_size, stories_phrases[middle].name);

        if (order == 0)
            return &stories_phrases[middle];
        if (order < 0)
            end = middle;
        else
            begin = middle + 1;
    }
    return NULL;
}
