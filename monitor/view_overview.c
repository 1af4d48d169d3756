/* The overview: findings in words, speed over time, a line for each node, the last events. */
#include "view.h"
#include "columns.h"

static void draw_nodes(struct view *view)
{
    const struct area area = view->layout.part[PART_MAIN];
    int nodes[FLEET_NODES_MAX], widths[TABLE_COLUMNS_MAX], at = 0, x = 0;
    const int count = ui_nodes(view->ui, view->fleet, nodes), selected = ui_selected(view->ui, view->fleet);
    const int room = area.height - 1;

    table_fit(columns_of_nodes, columns_of_nodes_count, area.width, widths);
    table_head(view->canvas, area, columns_of_nodes, columns_of_nodes_count, widths, view->ui->sort, view->ui->is_inverted);
    for (int i = 0; i < columns_of_nodes_count; i++) {
        if (columns_of_nodes[i].name != NULL)
            ui_add_zone(view->ui, area_part(area, x, 0, widths[i], 1), ACTION_SORT_BY, i, 0, 0);
        x += widths[i] > 0 ? widths[i] + 1 : 0;
    }
    while (at < count && nodes[at] != selected)
        at++;
    at = view_first_line(at, count, room);
    for (int line = 0; line < room && at + line < count; line++) {
        const struct node_row row = columns_row(view->fleet, nodes[at + line], view->tick);
        const struct area place = area_part(area, 0, line + 1, area.width, 1);
        const bool is_old = fleet_is_old_at(view->fleet, row.node, view->tick);

        table_row(view->canvas, place, columns_of_nodes, columns_of_nodes_count, widths, &row, is_old ? STYLE_STALE : STYLE_NORMAL);
        if (row.node == selected)
            canvas_select(view->canvas, place);
        if (view->ui->search[0] != '\0' && ui_matches(view->fleet->nodes[row.node].address, view->ui->search))
            canvas_restyle_normal(view->canvas, place, STYLE_FOUND);
    }
    ui_add_zone(view->ui, area_below(area, 1), ACTION_SELECT, at, 0, 1);
}

void view_overview(struct view *view)
{
    view_findings(view);
    view_speed(view, view->layout.part[PART_CURVE]);
    draw_nodes(view);
    view_events(view, view->layout.part[PART_EVENTS], false);
}
