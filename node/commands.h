/* The smaller subcommands of mesh-node: each takes what stands after its name and returns 0, or -1 with fail set. */
#ifndef NODE_COMMANDS_H
#define NODE_COMMANDS_H

#include "mesh/program/fail.h"

int synth_command(int argc, char *const *argv, struct fail *fail);
int stories_command(int argc, char *const *argv, struct fail *fail);
int inspect_command(int argc, char *const *argv, struct fail *fail);
int quantise_command(int argc, char *const *argv, struct fail *fail);
int bench_command(int argc, char *const *argv, struct fail *fail);
int serve_command(int argc, char *const *argv, struct fail *fail);
int ask_command(int argc, char *const *argv, struct fail *fail);
int api_command(int argc, char *const *argv, struct fail *fail);
int status_command(int argc, char *const *argv, struct fail *fail);
int train_command(int argc, char *const *argv, struct fail *fail);
int plan_command(int argc, char *const *argv, struct fail *fail);
int keygen_command(int argc, char *const *argv, struct fail *fail);

#endif
