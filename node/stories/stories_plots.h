/* The plots by name; stories_plots_*.c tell them, stories_plots.c lists them. */
#ifndef NODE_STORIES_PLOTS_H
#define NODE_STORIES_PLOTS_H

#include "stories_plot.h"

/* lost and found */
extern const struct stories_plot stories_plot_lost, stories_plot_truth, stories_plot_stray, stories_plot_map;
/* made */
extern const struct stories_plot stories_plot_mend, stories_plot_craft, stories_plot_gift;
/* by the water */
extern const struct stories_plot stories_plot_diolkos, stories_plot_light, stories_plot_bottle, stories_plot_bridge;
/* on the road */
extern const struct stories_plot stories_plot_journey, stories_plot_swap, stories_plot_stubborn, stories_plot_small;
/* among friends */
extern const struct stories_plot stories_plot_secret, stories_plot_race, stories_plot_soup, stories_plot_share;
/* quiet */
extern const struct stories_plot stories_plot_night, stories_plot_promise, stories_plot_garden, stories_plot_music;
/* in a village */
extern const struct stories_plot stories_plot_well, stories_plot_newcomer, stories_plot_snow, stories_plot_nest;
/* wild */
extern const struct stories_plot stories_plot_rescue, stories_plot_seed, stories_plot_shelter;

#endif
