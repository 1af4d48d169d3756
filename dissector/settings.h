/* The command line of mesh-dissect. */
#ifndef DISSECTOR_SETTINGS_H
#define DISSECTOR_SETTINGS_H

#include "ladder.h"
#include "mesh/program/fail.h"
#include "mesh/program/options.h"
#include "vantage.h"

enum export_kind { EXPORT_WIRESHARK, EXPORT_PROTOCOL, EXPORT_FIELDS, EXPORT_FILTER };

struct settings {
    /* input */
    struct option_list interfaces; /* at most one */
    struct option_list files, keys;
    const char *cluster, *filter_file, *user;
    bool has_cluster;      /* given */
    struct option_list at; /* one for all captures, or one for each */
    uint32_t snaplen, buffer_kib;
    bool not_promiscuous, is_immediate, list_interfaces;
    int direction;
    /* selection */
    uint64_t count;
    const char *display_filter; /* NULL: none */
    char *filter;               /* the BPF expression; owned. NULL: none */
    /* output */
    const char *write_file, *import_file, *qlog_file;
    uint32_t file_mb, file_seconds, file_count;
    bool flush_packets, print_too, count_only, analyze, json, line_buffered, numbered, quiet, link_header;
    unsigned verbose, time_form, hex, hex_ascii, dump_filter;
    bool ascii, numeric;
    int export; /* enum export_kind */
    bool has_export, help, version;
    bool ladder; /* with analyze */
    const char *steps, *seconds;
    struct ladder_range ladder_range;
};

/* -1 with EXIT_USAGE or EXIT_ENVIRONMENT; then, and after help and version, nothing is to be released. */
int settings_parse(struct settings *settings, int argc, char *const *argv, struct fail *fail);
void settings_release(struct settings *settings);

/* Where that file, or the only capture, was taken, as the user says; nothing is seen yet. */
void settings_place(const struct settings *settings, size_t file, struct vantage *vantage);

#endif
