#include "request.h"

static int check_tokens(const struct request *r, uint32_t vocab, struct fail *fail)
{
    for (uint32_t i = 0; i < r->prompt_count; i++)
        if (r->prompt[i] >= vocab)
            return fail_set(fail, EXIT_USAGE, "prompt: token %u is %u, the vocabulary has %u: tokenise it with this model", i, r->prompt[i],
                            vocab);
    return 0;
}

static const char *ctx_advice(uint32_t ctx, uint32_t model_ctx)
{
    return ctx < model_ctx ? ": shorten it, or give a larger --ctx" : ", the model's limit: shorten it";
}

int request_check_size(size_t prompt_count, uint32_t ctx, uint32_t model_ctx, const char *command, struct fail *fail)
{
    if (prompt_count == 0)
        return fail_set(fail, EXIT_USAGE, "%s: the prompt is empty and the model has no token to begin with: give some text with -p",
                        command);
    if (prompt_count > ctx)
        return fail_set(fail, EXIT_USAGE, "%s: the prompt has %zu tokens, the context holds %u%s", command, prompt_count, ctx,
                        ctx_advice(ctx, model_ctx));
    return 0;
}

int request_check_least(size_t least, uint32_t ctx, uint32_t model_ctx, const char *command, struct fail *fail)
{
    if (least > ctx)
        return fail_set(fail, EXIT_USAGE, "%s: the prompt has %zu tokens or more, the context holds %u%s", command, least, ctx,
                        ctx_advice(ctx, model_ctx));
    return 0;
}

int request_check(const struct request *r, uint32_t ctx, uint32_t vocab, struct fail *fail)
{
    if (r->id == 0)
        return fail_set(fail, EXIT_USAGE, "request: its id is 0, which means none: give another");
    if (r->prompt_count == 0)
        return fail_set(fail, EXIT_USAGE, "request: the prompt is empty: give at least one token");
    if (r->prompt_count > ctx)
        return fail_set(fail, EXIT_USAGE, "request: the prompt has %u tokens, the context %u: give a shorter prompt or a larger --ctx",
                        r->prompt_count, ctx);
    if (r->generated_before >= r->prompt_count || r->generated_before >= r->predict)
        return fail_set(fail, EXIT_USAGE, "request: %u of %u tokens generated, %u asked for: nothing is left to generate",
                        r->generated_before, r->prompt_count, r->predict);
    if (sampler_check(&r->sampling, fail) < 0)
        return -1;
    return check_tokens(r, vocab, fail);
}
