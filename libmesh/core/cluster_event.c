/* Events for the application, and refusals in words. Events that are only to be logged wait in a ring; of those that it must act upon, the
 * latest of each kind is kept. */
#include "cluster_tap.h"

#include <assert.h>
#include <string.h>

#include "text.h"

static const struct {
    const char *what, *advice;
    bool is_hex;
} reasons[] = {
    [MESH_DENY_VERSION] = {"protocol version", "run one release everywhere", false},
    [MESH_DENY_CLUSTER] = {"hash of the cluster's name", "give all nodes the same cluster name", true},
    [MESH_DENY_FINGERPRINT] = {"model fingerprint", "give all nodes the same model file", true},
    [MESH_DENY_FEATURES] = {"set of features", "run one release everywhere", true},
    [MESH_DENY_FULL] = {"number of members with this node", "start fewer nodes", false},
    [MESH_DENY_BUSY] = {"number of nodes that wait to join", "it tries again", false},
    [MESH_DENY_UNHEARD] = {"rank of a member without a path to this node", "check the network between the two", false},
    [MESH_DENY_NUMBER] = {"number of its last epoch", "start it again", false},
};
_Static_assert(sizeof reasons / sizeof *reasons == MESH_CLUSTER_REASONS, "one for each reason");

const char *mesh_cluster_reason_name(unsigned reason)
{
    static const char *const names[] = {
        [MESH_DENY_VERSION] = "version",   [MESH_DENY_CLUSTER] = "cluster", [MESH_DENY_FINGERPRINT] = "fingerprint",
        [MESH_DENY_FEATURES] = "features", [MESH_DENY_FULL] = "full",       [MESH_DENY_BUSY] = "busy",
        [MESH_DENY_UNHEARD] = "unheard",   [MESH_DENY_NUMBER] = "number"};
    _Static_assert(sizeof names / sizeof *names == MESH_CLUSTER_REASONS, "each reason has a word");

    return reason && reason < MESH_CLUSTER_REASONS ? names[reason] : "?";
}

static bool is_limit(unsigned reason)
{
    return reason == MESH_DENY_FULL || reason == MESH_DENY_BUSY || reason == MESH_DENY_NUMBER;
}

static void write_reason(struct mesh_cluster *cluster, const struct cluster_logged *logged)
{
    struct mesh_text out = {cluster->reason, cluster->reason + sizeof cluster->reason - 1};
    void (*add_value)(struct mesh_text * out, uint64_t value);

    assert(logged->reason && logged->reason < MESH_CLUSTER_REASONS);
    add_value = reasons[logged->reason].is_hex ? mesh_text_add_hex : mesh_text_add_number;
    mesh_text_add(&out, "the cluster does not take this node in: ");
    mesh_text_add(&out, reasons[logged->reason].what);
    mesh_text_add(&out, " is ");
    add_value(&out, logged->found);
    if (logged->reason != MESH_DENY_UNHEARD) {
        mesh_text_add(&out, is_limit(logged->reason) ? ", at most " : ", there ");
        add_value(&out, logged->expected);
    }
    mesh_text_add(&out, ": ");
    mesh_text_add(&out, reasons[logged->reason].advice);
}

void mesh_cluster_log(struct mesh_cluster *cluster, const struct cluster_logged *logged)
{
    if (cluster->log_count == CLUSTER_LOG_MAX) {
        cluster->log_first = (cluster->log_first + 1) % CLUSTER_LOG_MAX;
        cluster->log_count--;
    }
    cluster->log[(cluster->log_first + cluster->log_count) % CLUSTER_LOG_MAX] = *logged;
    cluster->log_count++;
}

static void take_logged(struct mesh_cluster *cluster, struct mesh_cluster_event *event)
{
    const struct cluster_logged *logged = &cluster->log[cluster->log_first];

    cluster->log_first = (cluster->log_first + 1) % CLUSTER_LOG_MAX;
    cluster->log_count--;
    event->type = logged->type;
    event->rank = logged->rank;
    event->addr = logged->addr;
    memcpy(event->incarnation, logged->incarnation, sizeof event->incarnation);
    event->has_left = logged->has_left;
    event->reason_code = logged->reason;
    event->found = logged->found;
    event->expected = logged->expected;
    event->unheard = logged->unheard;
    if (logged->type == MESH_CLUSTER_REFUSED) {
        write_reason(cluster, logged);
        event->reason = cluster->reason;
    }
}

static void fill_prepare(const struct mesh_cluster *cluster, struct mesh_cluster_event *event)
{
    const struct cluster_vote *vote = &cluster->vote;
    const struct cluster_list *list = vote->is_own ? &cluster->plan.list : &vote->plan.list;

    event->type = MESH_CLUSTER_PREPARE;
    event->plan = vote->token;
    event->number = vote->is_own ? cluster->plan.ballot.number : vote->plan.ballot.number;
    event->members = list->members;
    event->member_count = (uint16_t)list->count;
    event->own_rank = (int16_t)mesh_cluster_list_find(list, cluster->config.incarnation);
}

static bool take_flag(bool *flag)
{
    bool was_set = *flag;

    *flag = false;
    return was_set;
}

bool mesh_cluster_next_event(struct mesh_cluster *cluster, struct mesh_cluster_event *event)
{
    memset(event, 0, sizeof *event);
    if (cluster->log_count)
        take_logged(cluster, event);
    else if (take_flag(&cluster->evicted_is_pending))
        event->type = MESH_CLUSTER_EVICTED;
    else if (take_flag(&cluster->epoch_is_pending))
        mesh_cluster_get_epoch(cluster, event);
    else if (take_flag(&cluster->prepare_is_pending))
        fill_prepare(cluster, event);
    else if (take_flag(&cluster->left_is_pending))
        event->type = MESH_CLUSTER_LEFT;
    if (event->type == MESH_CLUSTER_EPOCH || event->type == MESH_CLUSTER_EVICTED)
        cluster->epoch_is_delivered = event->type == MESH_CLUSTER_EPOCH;
    if (event->type != MESH_CLUSTER_NONE && mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_event(cluster, event);
    return event->type != MESH_CLUSTER_NONE;
}
