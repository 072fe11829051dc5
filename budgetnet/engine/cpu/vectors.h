/* The vector type: one value of LANES images, one image a lane; and what instruction set decides. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

/* LANES is the widest register of the instruction set. A wider vector compiles too, but is lowered through memory: 16 lanes on AVX2
 * train twelve times as slowly as 8.
 *
 * PIXELS_c is the number of pixels that a register tile of c channels holds, TERMS_c the number of terms that a tile of c channels
 * holds in the gradient of a weight. Accumulators, inputs and one weight must fit in the registers (16 with AVX2 and SSE, 32 with
 * AVX-512 and NEON), and there must be enough accumulators to hide the latency of a multiply-add. */
#if defined(__AVX512F__)
enum { DEFAULT_LANES = 16, TILE_CHANNELS = 7, PIXELS_1 = 8, PIXELS_2 = 8, PIXELS_3 = 6, PIXELS_4 = 5, PIXELS_5 = 4, PIXELS_6 = 4, PIXELS_7 = 4 };
enum { GRADIENT_CHANNELS = 3, TERMS_1 = 9, TERMS_2 = 9, TERMS_3 = 9 };
#elif defined(__AVX__)
enum { DEFAULT_LANES = 8, TILE_CHANNELS = 6, PIXELS_1 = 8, PIXELS_2 = 5, PIXELS_3 = 3, PIXELS_4 = 3, PIXELS_5 = 2, PIXELS_6 = 2, PIXELS_7 = 1 };
enum { GRADIENT_CHANNELS = 2, TERMS_1 = 9, TERMS_2 = 6, TERMS_3 = 1 };
#elif defined(__aarch64__)
enum { DEFAULT_LANES = 4, TILE_CHANNELS = 6, PIXELS_1 = 8, PIXELS_2 = 8, PIXELS_3 = 6, PIXELS_4 = 5, PIXELS_5 = 4, PIXELS_6 = 4, PIXELS_7 = 1 };
enum { GRADIENT_CHANNELS = 3, TERMS_1 = 9, TERMS_2 = 9, TERMS_3 = 6 };
#else /* SSE2, and whatever else compiles */
enum { DEFAULT_LANES = 4, TILE_CHANNELS = 4, PIXELS_1 = 8, PIXELS_2 = 4, PIXELS_3 = 3, PIXELS_4 = 2, PIXELS_5 = 1, PIXELS_6 = 1, PIXELS_7 = 1 };
enum { GRADIENT_CHANNELS = 3, TERMS_1 = 9, TERMS_2 = 4, TERMS_3 = 3 };
#endif
enum { MOST_CHANNELS = 7, MOST_PIXELS = 8, MOST_TERMS = 9 };

#ifndef LANES
#define LANES DEFAULT_LANES
#endif

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(LANES * sizeof(float))));
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

INLINE vec select_vec(ivec mask, vec a, vec b) { return (vec)(((ivec)a & mask) | ((ivec)b & ~mask)); }

INLINE double lane_sum(vec v) {
    double s = 0;
    for (int i = 0; i < LANES; i++) s += v[i];
    return s;
}

typedef float quad __attribute__((vector_size(16), may_alias));

/* The sum of a vector in memory, in few instructions. */
INLINE float quick_sum(const vec *v) {
    quad s = *(const quad *)v;
    for (int i = 1; i < LANES / 4; i++) s += ((const quad *)v)[i];
    return (s[0] + s[2]) + (s[1] + s[3]);
}

INLINE vec lanes_in_use(int images, int block) {
    vec v = {0};
    for (int i = 0; i < LANES; i++) v[i] = block * LANES + i < images ? 1.0f : 0.0f;
    return v;
}

/* Planes of pixels, possibly inside a border of zeros: of all blocks, or, for what is used up before the next block, one set a thread. */
typedef struct {
    vec *at; /* the first pixel of the first channel */
    int64_t block, thread, plane; /* vectors from one block, thread or channel to the next; block or thread is 0 */
    int32_t row;
    int32_t border; /* zeros around each plane that have to be written anew, because other planes use the same memory */
} View;

/* The block that is worked on, and the thread that does it. */
typedef struct { int block, thread; } Place;

INLINE vec *plane_of(const View *v, Place at, int channel) { return v->at + at.block * v->block + at.thread * v->thread + channel * v->plane; }

static void clear_border(const View *v, Place at, int channels, int height, int width) {
    int b = v->border;
    for (int c = 0; b && c < channels; c++) {
        vec *plane = plane_of(v, at, c);
        memset(plane - (long)b * v->row - b, 0, sizeof(vec) * ((long)b * v->row + b));
        for (int y = 0; y < height; y++) memset(plane + (long)y * v->row + width, 0, sizeof(vec) * 2 * b);
        memset(plane + (long)height * v->row - b, 0, sizeof(vec) * b * v->row);
    }
}

enum { NONE, RELU, RELU6, LEAKY };

INLINE vec activate(const int kind, vec u, vec slope) {
    if (kind == NONE) return u;
    if (kind == LEAKY) return select_vec(u > 0, u, u * slope);
    vec positive = (vec)((ivec)u & ~(u <= 0)); /* NaN stays NaN */
    return kind == RELU6 ? select_vec(positive > 6, (vec){0} + 6, positive) : positive;
}

/* The gradient by the activation's input u from the gradient by its output. */
INLINE vec activation_gradient(const int kind, vec d, vec u, vec slope) {
    if (kind == NONE) return d;
    if (kind == LEAKY) return select_vec(u > 0, d, d * slope);
    return (vec)((ivec)d & (kind == RELU6 ? (u > 0) & (u < 6) : u > 0));
}
