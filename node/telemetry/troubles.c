#include "troubles.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const names[TROUBLE_KINDS] = {
    [TROUBLE_UNREACHABLE] = "unreachable", [TROUBLE_ADDRESS] = "address",
    [TROUBLE_ISOLATED] = "isolated",       [TROUBLE_MTU] = "mtu",
    [TROUBLE_BLACK_HOLE] = "black_hole",   [TROUBLE_DUPLICATE] = "duplicate_address",
    [TROUBLE_FLAPPING] = "flapping",       [TROUBLE_RECORDING] = "recording",
};

const char *trouble_name(enum trouble_kind kind)
{
    assert(kind < TROUBLE_KINDS);
    return names[kind];
}

static bool is_about(const struct trouble *trouble, enum trouble_kind kind, const struct mesh_addr *about)
{
    static const struct mesh_addr nobody;
    const struct mesh_addr *who = about != NULL ? about : &nobody;

    return trouble->kind == kind && mesh_addr_equal(&trouble->about, who);
}

const struct trouble *troubles_find(const struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about)
{
    for (unsigned i = 0; i < troubles->count; i++)
        if (is_about(&troubles->trouble[i], kind, about))
            return &troubles->trouble[i];
    return NULL;
}

static struct trouble_unlisted *find_unlisted(struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about)
{
    static const struct mesh_addr nobody;

    for (unsigned i = 0; i < troubles->unlisted_count; i++)
        if (troubles->unlisted[i].kind == kind && mesh_addr_equal(&troubles->unlisted[i].about, about != NULL ? about : &nobody))
            return &troubles->unlisted[i];
    return NULL;
}

static void add_unlisted(struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about)
{
    struct trouble_unlisted *unlisted = &troubles->unlisted[troubles->unlisted_count];

    if (troubles->unlisted_count == TROUBLES_UNLISTED_MAX || find_unlisted(troubles, kind, about) != NULL)
        return;
    *unlisted = (struct trouble_unlisted){.kind = kind};
    if (about != NULL)
        unlisted->about = *about;
    troubles->unlisted_count++;
}

static void remove_unlisted(struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about)
{
    struct trouble_unlisted *unlisted = find_unlisted(troubles, kind, about);

    if (unlisted != NULL)
        *unlisted = troubles->unlisted[--troubles->unlisted_count];
}

unsigned troubles_count(const struct troubles *troubles, enum trouble_kind kind)
{
    unsigned count = 0;

    for (unsigned i = 0; i < troubles->count; i++)
        count += troubles->trouble[i].kind == kind;
    for (unsigned i = 0; i < troubles->unlisted_count; i++)
        count += troubles->unlisted[i].kind == kind;
    return count;
}

static void set_text(struct trouble *trouble, const char *what, const char *rest)
{
    trouble->what_bytes = strlen(what);
    assert(trouble->what_bytes < sizeof trouble->text);
    snprintf(trouble->text, sizeof trouble->text, "%s%s", what, rest);
}

const struct trouble *troubles_begin(struct troubles *troubles, uint64_t now_ns, enum trouble_kind kind, const struct mesh_addr *about,
                                     const char *what, const char *rest)
{
    const struct trouble *known = troubles_find(troubles, kind, about);
    struct trouble *trouble;

    if (known == NULL && troubles->count == TROUBLES_MAX) {
        add_unlisted(troubles, kind, about);
        return NULL;
    }
    trouble = &troubles->trouble[known != NULL ? (unsigned)(known - troubles->trouble) : troubles->count];
    if (known == NULL) {
        remove_unlisted(troubles, kind, about);
        *trouble = (struct trouble){.kind = kind, .since_ns = now_ns};
        if (about != NULL)
            trouble->about = *about;
        troubles->count++;
    }
    trouble->last_ns = now_ns;
    set_text(trouble, what, rest);
    return known == NULL ? trouble : NULL;
}

bool troubles_end(struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about, struct trouble *over)
{
    const struct trouble *known = troubles_find(troubles, kind, about);
    unsigned index;

    remove_unlisted(troubles, kind, about);
    if (known == NULL)
        return false;
    if (over != NULL)
        *over = *known;
    index = (unsigned)(known - troubles->trouble);
    troubles->count--;
    memmove(&troubles->trouble[index], &troubles->trouble[index + 1], (troubles->count - index) * sizeof *troubles->trouble);
    return true;
}

bool troubles_end_other(struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about, const char *what,
                        struct trouble *over)
{
    const struct trouble *known = troubles_find(troubles, kind, about);

    if (known == NULL || (known->what_bytes == strlen(what) && memcmp(known->text, what, known->what_bytes) == 0))
        return false;
    return troubles_end(troubles, kind, about, over);
}
