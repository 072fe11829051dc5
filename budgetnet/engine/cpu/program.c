/* Forward and backward pass of a small network on a CPU, as a list of steps over buffers.
 *
 * Why this exists: with ten channels a layer, library convolutions spend their time on channel padding, layout changes and one pass
 * over memory per operation. Here LANES images sit side by side in the innermost dimension, so that every operation is a
 * full-width vector operation whatever the number of channels.
 *
 * Layout: value[block][channel][y][x][lane], image = at.block * LANES + lane. Steps run block by block until one needs sums over the
 * batch; these are formed per block and added in the order of the blocks, so results do not depend on the number of threads.
 */
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#else
#define omp_get_thread_num() 0
#define omp_get_num_threads() ((void)threads, 1)
#endif
#include "contraction.h"
#include "elementwise.h"
#include "training.h"

/* (images, channels, height, width) floats in memory, beside a view of the same values. */
typedef struct {
    View view;
    float *floats;
    int32_t channels, height, width;
    float factor; /* of what is taken */
} Exchange;

enum { TAKE, GIVE, CONVOLVE, LINEAR, WEIGHTS, LINEAR_WEIGHTS, MOMENTS, FORWARD_ELEMENTWISE, BACKWARD_ELEMENTWISE, FINISH, SLOPES, REDUCE, PACK };

/* operation: the record of one operation, or for PACK and REDUCE an array of pointers to records, one a part. */
typedef struct {
    const void *operation;
    int32_t kind;
    int32_t parts;   /* 0: one part a block of images; otherwise the number of parts */
    int32_t barrier; /* needs every part before it is finished */
    int32_t reserved;
} Step;

int lanes(void) { return LANES; }
int channel_tile(int channels) { return tile_size(channels); }
int gradient_channels(void) { return GRADIENT_CHANNELS; }

static void take(const Exchange *e, Place at, int images) {
    if (!e->floats) return; /* a mask that evaluation does not use */
    long pixels = (long)e->height * e->width, image = e->channels * pixels;
    int used = images - at.block * LANES < LANES ? images - at.block * LANES : LANES;
    for (int c = 0; c < e->channels; c++)
        for (int y = 0; y < e->height; y++) {
            const float *from = e->floats + (long)at.block * LANES * image + c * pixels + (long)y * e->width;
            float *to = (float *)(plane_of(&e->view, at, c) + (long)y * e->view.row);
            for (int x = 0; x < e->width; x++, to += LANES)
                for (int i = 0; i < LANES; i++) to[i] = i < used ? from[i * image + x] * e->factor : 0.0f;
        }
}

static void give(const Exchange *e, Place at, int images) {
    long pixels = (long)e->height * e->width, image = e->channels * pixels;
    for (int c = 0; c < e->channels; c++)
        for (int y = 0; y < e->height; y++) {
            const vec *from = plane_of(&e->view, at, c) + (long)y * e->view.row;
            for (int x = 0; x < e->width; x++)
                for (int i = 0; i < LANES && at.block * LANES + i < images; i++)
                    e->floats[(at.block * LANES + i) * image + c * pixels + (long)y * e->width + x] = from[x][i];
        }
}

INLINE void run_part(const Step *s, int part, int thread, int blocks, int images, int training, vec *scratch) {
    Place at = {part, thread};
    switch (s->kind) {
        case TAKE: take(s->operation, at, images); break;
        case GIVE: give(s->operation, at, images); break;
        case CONVOLVE: run_convolution(s->operation, at); break;
        case LINEAR: run_linear(s->operation, part, blocks); break;
        case WEIGHTS: block_weight_gradient(s->operation, at, scratch); break;
        case LINEAR_WEIGHTS: linear_weight_gradient(s->operation, part, blocks, scratch); break;
        case MOMENTS: if (training) moments(s->operation, at); break;
        case FORWARD_ELEMENTWISE: forward_elementwise(s->operation, at, images, training, scratch); break;
        case BACKWARD_ELEMENTWISE: backward_elementwise(s->operation, at, images, scratch); break;
        case FINISH: finish_gradient(s->operation, at, images); break;
        case SLOPES: finish_slopes(s->operation, blocks); break;
        case REDUCE: reduce_weight_gradient(((const WeightGradient *const *)s->operation)[part], blocks); break;
        case PACK: pack_weights(((const Contraction *const *)s->operation)[part]); break;
    }
}

static void finish_step(const Step *s, int blocks, int images, int training) {
    if (s->kind == MOMENTS) finish_moments(s->operation, images, training);
    if (s->kind == BACKWARD_ELEMENTWISE) finish_normalization(s->operation, blocks, images);
}

INLINE int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* scratch: scratch_size vectors for each thread. nanoseconds: of each kind of step, over all threads, or NULL. A thread keeps its blocks from step to step and goes through them in alternating
 * directions, so that it finds in its cache what it has touched last. */
void run_steps(const Step *steps, int count, int images, int training, int threads, vec *scratch, int64_t scratch_size,
               int64_t *nanoseconds) {
    int blocks = (images + LANES - 1) / LANES, backwards = 0;
    for (int first = 0, end; first < count; first = end, backwards = !backwards) {
        end = first + 1;
        while (end < count && !steps[end - 1].barrier && steps[end - 1].parts == 0 && steps[end].parts == 0) end++;
        int parts = steps[first].parts ? steps[first].parts : blocks;
#pragma omp parallel num_threads(threads)
        {
            int thread = omp_get_thread_num(), all = omp_get_num_threads();
            int begin = (int)((long)parts * thread / all), stop = (int)((long)parts * (thread + 1) / all);
            for (int p = begin; p < stop; p++)
                for (int i = first; i < end; i++) {
                    int64_t started = nanoseconds ? now() : 0;
                    run_part(&steps[i], backwards ? begin + stop - 1 - p : p, thread, blocks, images, training, scratch + thread * scratch_size);
                    if (nanoseconds) __atomic_fetch_add(nanoseconds + steps[i].kind, now() - started, __ATOMIC_RELAXED);
                }
        }
        if (steps[end - 1].barrier) finish_step(&steps[end - 1], blocks, images, training);
    }
}
