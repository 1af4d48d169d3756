#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "link_table.h"
#include "sender_capture.h"

/* The hosts where the captures of a link were taken; between two addresses of one host, a single capture was taken at both ends. */
static void find_ends(const struct report *report, const struct link *link, bool *is_at_sender, bool *is_at_receiver)
{
    const bool is_local = memcmp(link->from.ip, link->to.ip, sizeof link->from.ip) == 0;

    if (report->analysis.links.point_count > 0) {
        *is_at_sender = link->at_sender >= 0;
        *is_at_receiver = link->at_receiver >= 0;
        return;
    }
    *is_at_sender = is_local || vantage_at(&report->vantage, link->from.ip) != VANTAGE_NONE;
    *is_at_receiver = is_local || vantage_at(&report->vantage, link->to.ip) != VANTAGE_NONE;
}

/* Is it proved that the capture at that end of a link with captures at both was taken at the host, not on the way to it? */
static bool is_proved(const struct report *report, int point)
{
    return point >= 0 && report->analysis.links.points[point].is_proved;
}

/* The capture has it, or, where that is not known, has all that could be it: it vanished behind the place of the capture. */
static enum findings_place place_behind(const struct report *report, const struct link *link, bool is_at_sender, bool is_at_receiver)
{
    const bool is_several = report->analysis.links.point_count > 0;

    if (is_at_receiver && (!is_several || is_proved(report, link->at_receiver)))
        return FINDINGS_RECEIVER;
    return is_at_receiver || is_at_sender ? FINDINGS_AFTER_SENDER : FINDINGS_UNKNOWN;
}

/* It has left no trace at the sender's end, whose capture is without gaps. */
static enum findings_place place_unsent(const struct report *report, const struct link *link)
{
    return report->analysis.links.point_count == 0 || is_proved(report, link->at_sender) ? FINDINGS_SENDER : FINDINGS_BEFORE_RECEIVER;
}

/* The capture lacks it, so it vanished before the place of the capture. */
static enum findings_place place_before(const struct report *report, const struct analysis_loss *loss, bool is_at_sender,
                                        bool is_at_receiver)
{
    const struct link *link = loss->link;

    if (link->departures != NULL && loss->entry->is_sent)
        return FINDINGS_WIRE;
    if (link->departures != NULL)
        return sender_capture_covers(link, loss->is_all, loss->entry->number) && link->missed_at_sender == 0 ? place_unsent(report, link)
                                                                                                             : FINDINGS_UNKNOWN;
    if (link->counts.not_captured > 0 && !(loss->entry->is_passed && loss->entry->is_resent))
        return FINDINGS_UNKNOWN; /* the one that was lost may be another */
    if (is_at_sender && (link->at_receiver < 0 || link->at_receiver == link->at_sender))
        return place_unsent(report, link);
    return is_at_receiver ? FINDINGS_BEFORE_RECEIVER : FINDINGS_UNKNOWN;
}

/* Where a datagram was lost: what a host's capture shows has left that host, or has arrived. If the capture is known to miss frames, the
 * absence of one proves nothing. */
static enum findings_place place_of(const struct report *report, const struct analysis_loss *loss)
{
    bool is_at_sender, is_at_receiver;

    find_ends(report, loss->link, &is_at_sender, &is_at_receiver);
    if (loss->entry == NULL || !loss->entry->is_missing)
        return place_behind(report, loss->link, is_at_sender, is_at_receiver);
    return place_before(report, loss, is_at_sender, is_at_receiver);
}

static const char *severity_of(const struct analysis_loss *loss)
{
    return loss->stall_ms > 0 ? "error" : "warning";
}

static const char *type_of(const struct link_entry *entry)
{
    const struct mesh_wire_part *part = entry != NULL ? mesh_wire_message(entry->type) : NULL;

    return part ? part->name : "?";
}

static void write_ends(struct json *json, const struct link *link)
{
    char text[FRAME_ADDRESS_TEXT_BYTES];

    json_uint(json, "epoch", link->epoch);
    json_uint(json, "src", link->src);
    json_int(json, "dst", link->dst == MESH_DST_ALL ? -1 : link->dst);
    frame_address_text(&link->from, link->is_v6, true, text);
    json_text(json, "src_address", text);
    frame_address_text(&link->to, link->is_v6, true, text);
    json_text(json, "dst_address", text);
}

/* ---- losses ---- */

static void loss_object(struct report *report, const struct analysis_loss *loss)
{
    struct json *json = &report->json;
    const struct link_entry *entry = loss->entry;
    const struct link *link = loss->link;

    json_event_begin(json, "lost");
    json_text(json, "severity", severity_of(loss));
    write_ends(json, link);
    json_uint(json, "ts_ns", entry != NULL ? entry->ts_ns : link->last_ns);
    json_text(json, "place", findings_place_names[place_of(report, loss)]);
    if (entry != NULL) {
        json_text(json, "space", loss->is_all ? "all" : "peer");
        json_uint(json, "number", entry->number);
        json_bool(json, "captured", !entry->is_missing);
        json_text(json, "type", type_of(entry));
        json_bool(json, "early", entry->is_early);
    }
    if (entry != NULL && entry->has_range) {
        json_uint(json, "step", entry->step);
        json_uint(json, "phase", entry->phase);
        json_uint(json, "block", entry->range.block_first);
        json_uint(json, "blocks", entry->range.block_count);
    }
    if (entry != NULL && entry->nak_ns > entry->ts_ns)
        json_double(json, "asked_ms", (double)(entry->nak_ns - entry->ts_ns) / 1e6);
    json_double(json, "repair_ms", loss->repair_ms >= 0 ? loss->repair_ms : NAN); /* null: it was not */
    json_double(json, "stall_ms", loss->stall_ms > 0 ? loss->stall_ms : 0);
    json_event_end(json);
}

static void print_time(FILE *out, uint64_t ts_ns)
{
    const time_t second = (time_t)(ts_ns / 1000000000u);
    struct tm local;
    char clock[16] = "";

    if (localtime_r(&second, &local) != NULL)
        strftime(clock, sizeof clock, "%T", &local);
    fprintf(out, "%s.%06" PRIu64, clock, ts_ns % 1000000000u / 1000);
}

static void loss_line(struct report *report, const struct analysis_loss *loss)
{
    FILE *out = report->out;
    const struct link_entry *entry = loss->entry;
    const struct link *link = loss->link;

    fprintf(out, "%-7s ", severity_of(loss));
    print_time(out, entry->ts_ns);
    fprintf(out, " %u>", link->src);
    if (link->dst == MESH_DST_ALL)
        fputs("?", out);
    else
        fprintf(out, "%u", link->dst);
    fprintf(out, " epoch %" PRIu32 " #%s%" PRIu64 " %s", link->epoch, loss->is_all ? "all:" : "", entry->number, type_of(entry));
    if (entry->has_range)
        fprintf(out, " step %" PRIu64 " phase %u blocks %u+%u", entry->step, entry->phase, entry->range.block_first,
                entry->range.block_count);
    fprintf(out, " lost, place %s", findings_place_names[place_of(report, loss)]);
    if (entry->is_early)
        fputs(", before the handshake ended", out);
    if (entry->nak_ns > entry->ts_ns)
        fprintf(out, ", NAK after %.3f ms", (double)(entry->nak_ns - entry->ts_ns) / 1e6);
    if (loss->repair_ms >= 0)
        fprintf(out, ", resent after %.3f ms", loss->repair_ms);
    if (loss->stall_ms > 0)
        fprintf(out, ", rank %u waited for rank %u %.3f ms longer than usual", link->dst, link->src, loss->stall_ms);
    fputc('\n', out);
}

/* Losses that the receiver counts and nothing tells more of: one line for all of a link. */
static void unnamed_line(struct report *report)
{
    const struct link *link = report->unnamed_link;

    if (report->unnamed > 0)
        fprintf(report->out, "warning %u>%u epoch %" PRIu32 ": %" PRIu64 " more lost by the receiver's count; which ones is unknown\n",
                link->src, link->dst, link->epoch, report->unnamed);
    report->unnamed = 0;
}

static void note_unnamed(struct report *report, const struct analysis_loss *loss)
{
    if (report->unnamed_link != loss->link)
        unnamed_line(report);
    report->unnamed_link = loss->link;
    report->unnamed++;
}

static void on_loss(void *context, const struct analysis_loss *loss)
{
    struct report *report = context;
    const bool is_wanted = report->filter == NULL || filter_match_loss(report->filter, loss);

    findings_note_loss(&report->findings, loss, place_of(report, loss));
    if (report->ladder != NULL)
        ladder_loss(report->ladder, loss, is_wanted);
    else if (!is_wanted)
        return;
    else if (report->is_json)
        loss_object(report, loss);
    else if (loss->entry == NULL)
        note_unnamed(report, loss);
    else
        loss_line(report, loss);
}

/* ---- steps ---- */

static void on_step(void *context, const struct steps_step *step)
{
    struct report *report = context;

    if (report->ladder != NULL)
        return;
    timeline_add(&report->timeline, step);
    if (report->is_json)
        timeline_object(&report->json, step);
}

/* ---- captures ---- */

static void capture_object(struct json *json, const struct report_capture *capture)
{
    char text[FRAME_ADDRESS_TEXT_BYTES];

    json_event_begin(json, "capture");
    json_text(json, "file", capture->file);
    json_uint(json, "datagrams", capture->datagrams);
    if (capture->host != NULL) {
        frame_address_text(capture->host, capture->is_v6, false, text);
        json_text(json, "host", text);
        json_bool(json, "proved", capture->is_proved);
    }
    json_bool(json, "aligned", capture->is_aligned);
    if (capture->series != NULL)
        json_text(json, "series", capture->series);
    if (capture->judged_by != NULL)
        json_text(json, "judged_by", capture->judged_by);
    if (capture->line != NULL) {
        json_text(json, "against", capture->against);
        json_int(json, "offset_ns", capture->line->offset_ns);
        if (capture->line->is_bounded)
            json_double(json, "offset_error_ns", capture->line->offset_error_ns);
        if (capture->line->is_drift_known) {
            json_double(json, "drift_ppm", capture->line->drift * 1e6);
            json_double(json, "drift_error_ppm", capture->line->drift_error * 1e6);
        }
    }
    json_event_end(json);
}

static void capture_line(FILE *out, const struct report_capture *capture)
{
    const struct clock_line *line = capture->line;
    char text[FRAME_ADDRESS_TEXT_BYTES] = "an unknown host";

    if (capture->host != NULL)
        frame_address_text(capture->host, capture->is_v6, false, text);
    fprintf(out, "%s: at %s%s%s, %" PRIu64 " datagrams of epochs\n", capture->file,
            capture->is_between ? "no host, as --at says, but on the way to " : "", text,
            capture->host == NULL || capture->is_proved || capture->is_between ? "" : " or on the way to it", capture->datagrams);
    if (capture->series != NULL)
        fprintf(out, capture->is_twin ? "    at the place of %s; what is in both counts once\n" : "    another file of the capture in %s\n",
                capture->series);
    if (capture->judged_by != NULL)
        fprintf(out, "    %s shows that host, too, and its links are judged by that\n", capture->judged_by);
    if (line == NULL) {
        if (!capture->is_aligned)
            fprintf(out, "    its clock cannot be compared: %s, so times may be wrong\n",
                    capture->has_common ? "its times fit no datagrams that go from its host to that of another capture and back"
                                        : "too little in common with the others");
        return;
    }
    fprintf(out, "    its clock minus that of %s: %+.6f ms", capture->against, (double)line->offset_ns / 1e6);
    if (line->is_bounded)
        fprintf(out, " +/- %.6f", line->offset_error_ns / 1e6);
    else
        fputs(" or less: only datagrams of one direction are in both", out);
    if (line->is_drift_known)
        fprintf(out, "; drift %+.3f ppm +/- %.3f", line->drift * 1e6, line->drift_error * 1e6);
    fputc('\n', out);
}

void report_capture(struct report *report, const struct report_capture *capture)
{
    if (report->ladder != NULL)
        return;
    if (report->is_json)
        capture_object(&report->json, capture);
    else
        capture_line(report->out, capture);
}

/* ---- links and the sum ---- */

static void count_fields(struct json *json, const struct link_counts *counts)
{
    json_uint(json, "datagrams", counts->datagrams);
    json_uint(json, "bytes", counts->bytes);
    json_uint(json, "tiles", counts->tiles);
    json_uint(json, "lost", counts->lost);
    json_uint(json, "lost_probes", counts->lost_probes);
    json_uint(json, "not_captured", counts->not_captured);
    json_uint(json, "resent", counts->resent);
    json_uint(json, "spurious_resend", counts->spurious_resend);
    json_uint(json, "duplicate", counts->duplicate);
    json_uint(json, "reordered", counts->reordered);
    json_uint(json, "late", counts->late);
    json_uint(json, "naks", counts->naks);
}

static void sizes_fields(struct json *json, const struct link *link)
{
    const struct sizes_verdict found = sizes_judge(&link->sizes);

    if (found.bytes == 0)
        return;
    json_uint(json, "large_bytes", found.bytes);
    json_uint(json, "large_lost", found.lost);
    json_uint(json, "large_arrived", found.large);
    json_uint(json, "small_arrived", found.small);
}

static void link_object(struct json *json, const struct link *link)
{
    json_event_begin(json, "link");
    write_ends(json, link);
    json_bool(json, "receiver_reports", link->has_report);
    if (link->turn_ns != 0)
        json_double(json, "turn_us", (double)link->turn_ns / 1e3);
    count_fields(json, &link->counts);
    json_double(json, "loss", link_table_loss(&link->counts));
    sizes_fields(json, link);
    json_double(json, "tile_gap_p50_us", (double)mesh_histogram_quantile(&link->tile_gaps, 500) / 1e3);
    json_double(json, "tile_gap_p99_us", (double)mesh_histogram_quantile(&link->tile_gaps, 990) / 1e3);
    if (link->departures != NULL) {
        json_uint(json, "missed_at_sender", link->missed_at_sender);
        for (size_t i = 0; i < LINK_TABLE_MARKS; i++)
            json_double(json, link_table_marks[i].key, (double)mesh_histogram_quantile(&link->latency, link_table_marks[i].permille) / 1e3);
    }
    if (link->receiver != NULL && link->receiver->waits.count > 0) {
        json_double(json, "wait_p50_us", (double)mesh_histogram_quantile(&link->receiver->waits, 500) / 1e3);
        json_double(json, "wait_p99_us", (double)mesh_histogram_quantile(&link->receiver->waits, 990) / 1e3);
    }
    json_event_end(json);
}

static void print_sum(const struct report *report)
{
    const struct analysis *a = &report->analysis;
    const struct link_counts *c = &a->sum;
    FILE *out = report->out;
    char probes[60] = "";

    if (c->lost_probes > 0)
        snprintf(probes, sizeof probes, "; %" PRIu64 " of them probes of the path", c->lost_probes);
    link_table_print(&a->links, out);
    timeline_print(&report->timeline, out);
    fprintf(out,
            "\n%" PRIu64 " datagrams in %.3f s; %" PRIu64 " lost (%.3f%%%s), %" PRIu64 " not captured; %" PRIu64 " resent, %" PRIu64
            " of them spurious; %" PRIu64 " duplicated, %" PRIu64 " reordered, %" PRIu64 " late\n",
            c->datagrams, (double)(a->last_ns - a->first_ns) / 1e9, c->lost, 100 * link_table_loss(c), probes, c->not_captured, c->resent,
            c->spurious_resend, c->duplicate, c->reordered, c->late);
    fprintf(out, "%" PRIu64 " stall%s from losses, %.3f ms in all\n", a->stalls, a->stalls == 1 ? "" : "s", a->stall_ms);
    if (a->links.left_out > 0)
        fprintf(out, "%" PRIu64 " datagrams of more than %d links were left out\n", a->links.left_out, LINKS_MAX);
    if (a->links.sessions_left_out > 0)
        fprintf(out, "%" PRIu64 " datagrams of clients' sessions beyond the first %d were left out\n", a->links.sessions_left_out,
                LINKS_SESSIONS_MAX / 2);
}

static void summary_object(struct report *report)
{
    struct json *json = &report->json;
    const struct analysis *a = &report->analysis;

    json_event_begin(json, "summary");
    count_fields(json, &a->sum);
    json_double(json, "loss", link_table_loss(&a->sum));
    json_uint(json, "stalls", a->stalls);
    json_double(json, "stall_ms", a->stall_ms);
    json_double(json, "seconds", (double)(a->last_ns - a->first_ns) / 1e9);
    json_uint(json, "links", a->links.count);
    json_uint(json, "left_out", a->links.left_out);
    json_uint(json, "sessions_left_out", a->links.sessions_left_out);
    json_event_end(json);
}

static void on_finding(void *context, const char *severity, const char *text)
{
    struct report *report = context;

    if (!report->is_json) {
        fprintf(report->out, "%-7s %s\n", severity, text);
        return;
    }
    json_event_begin(&report->json, "finding");
    json_text(&report->json, "severity", severity);
    json_text(&report->json, "text", text);
    json_event_end(&report->json);
}

static void on_datagram(void *context, const struct link *link, const struct packet *packet)
{
    struct report *report = context;

    ladder_datagram(report->ladder, link, packet, report->is_wanted);
}

void report_begin(struct report *report, FILE *out, bool is_json, struct ladder *ladder)
{
    report->ladder = ladder;
    report->out = out;
    report->is_json = is_json;
    json_init(&report->json, out);
    analysis_init(&report->analysis, on_loss, report);
    report->analysis.on_datagram = ladder != NULL ? on_datagram : NULL;
    report->analysis.steps.on_step = on_step;
    report->analysis.steps.context = report;
    report->findings.analysis = &report->analysis;
    report->findings.timeline = &report->timeline;
    report->findings.vantage = &report->vantage;
    report->findings.on_finding = on_finding;
    report->findings.context = report;
}

void report_add(struct report *report, const struct packet *packet, bool is_wanted)
{
    report->is_wanted = is_wanted;
    findings_note(&report->findings, packet);
    if (report->analysis.links.point_count == 0)
        vantage_add(&report->vantage, packet);
    analysis_add(&report->analysis, packet);
}

static void print(struct report *report)
{
    if (report->ladder != NULL) {
        ladder_print(report->ladder, report->out);
        return;
    }
    if (!report->is_json) {
        unnamed_line(report);
        print_sum(report);
        fputs("\nfindings:\n", report->out);
        findings_tell(&report->findings);
        return;
    }
    for (size_t i = 0; i < report->analysis.links.count; i++)
        link_object(&report->json, report->analysis.links.links[i]);
    findings_tell(&report->findings);
    summary_object(report);
}

int report_end(struct report *report, struct fail *fail)
{
    analysis_end(&report->analysis);
    print(report);
    return analysis_check(&report->analysis, fail);
}

void report_release(struct report *report)
{
    analysis_release(&report->analysis);
}
