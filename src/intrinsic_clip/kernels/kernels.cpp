// What Python calls. Threads share out blocks of rows; each writes its own sums, which are added up in fixed order.

#include "feed_forward.h"
#include "info_nce.h"

namespace {

constexpr float SMALLEST_NORM = 1e-12f;  // as in loss/similarity.py

float at_least_smallest(float norm) { return norm < SMALLEST_NORM ? SMALLEST_NORM : norm; }  // keeps NaN

float* origin() { return reinterpret_cast<float*>(uintptr_t{64}); }  // to count from

}  // namespace

extern "C" {

// Return how many floats of memory encode() and encode_backward() share.
int64_t encode_memory(const Network* network, const Rows* batch) {
    Side side(*network, *batch, Rows{});
    return side.take(origin()) - origin();
}

// Encode rows to outputs, (replicates, n, d). `memory` keeps their activations.
void encode(const Network* network, const Rows* batch, float* outputs, float* memory, const Threads* threads) {
    Side side(*network, *batch, Rows{});
    side.take(memory);
    side.outputs = outputs;
    in_parallel(*threads, side.replicates() * side.blocks, [&] {
        return [&](int64_t item) { side.encode(item / side.blocks, item % side.blocks); };
    });
}

// Write the parameters' gradients, given those of the outputs.
void encode_backward(const Network* network, const Rows* batch, const float* cotangents, float* const* gradients,
                     float* memory, const Threads* threads) {
    Side side(*network, *batch, Rows{});
    side.take(memory);
    in_parallel(*threads, side.replicates() * side.blocks, [&] {
        return [&, scratch = allocate(side.scratch())](int64_t item) {
            side.backward(item / side.blocks, item % side.blocks, cotangents, scratch.get());
        };
    });
    in_parallel(*threads, side.replicates(), [&] { return [&](int64_t replicate) { side.write(replicate, 0, gradients); }; });
}

// Symmetric InfoNCE of paired rows (replicates, n, d), and its gradients with respect to x, y and tau.
void info_nce(int64_t replicates, int64_t n, int64_t d, const float* x, const float* y, const float* tau, float* losses,
              float* x_gradient, float* y_gradient, float* tau_gradient, const Threads* threads) {
    in_parallel(*threads, replicates, [&] {
        return [&, contrast = InfoNCE(n, d)](int64_t r) {
            contrast(x + r * n * d, y + r * n * d, tau[r], losses + r, x_gradient + r * n * d, y_gradient + r * n * d,
                     tau_gradient + r);
        };
    });
}

// Return how many floats of memory step() needs.
int64_t step_memory(const Network* f, const Network* g, const Rows* x, const Rows* y, const Rows* x_population,
                    const Rows* y_population) {
    Side first(*f, *x, *x_population), second(*g, *y, *y_population);
    return second.take(first.take(origin())) - origin() + f->replicates * (2 * x->count * first.d + 32);
}

// The losses (replicates,) of a batch, InfoNCE of outputs divided by their mean norm over the population, and their
// gradients with respect to tau and all parameters. `constant`: take the norms as constants.
void step(const Network* f, const Network* g, const Rows* x, const Rows* y, const Rows* x_population,
          const Rows* y_population, const float* tau, bool constant, float* losses, float* tau_gradient,
          float* const* f_gradients, float* const* g_gradients, float* memory, const Threads* threads) {
    Side first(*f, *x, *x_population), second(*g, *y, *y_population);
    const Side* sides[2] = {&first, &second};
    float* const* gradients[2] = {f_gradients, g_gradients};
    float* cotangents[2];
    const int64_t replicates = f->replicates, n = x->count, d = first.d, outputs = replicates * n * d;
    cotangents[0] = second.take(first.take(memory));
    cotangents[1] = cotangents[0] + outputs;
    float* norm_factors[2] = {cotangents[1] + outputs, cotangents[1] + outputs + replicates};
    const int64_t scratch = std::max(first.scratch(), second.scratch());

    const int64_t each[2] = {first.parts + first.blocks, second.parts + second.blocks};
    in_parallel(*threads, replicates * (each[0] + each[1]), [&] {
        return [&, block = allocate(scratch)](int64_t item) {
            const int which = item >= replicates * each[0];
            if (which) item -= replicates * each[0];
            const Side& side = *sides[which];
            const int64_t replicate = item / each[which], index = item % each[which];
            if (index < side.parts) side.take_norms(replicate, index, !constant, block.get());
            else side.encode(replicate, index - side.parts);
        };
    });
    in_parallel(*threads, replicates, [&] {
        return [&, contrast = InfoNCE(n, d)](int64_t r) {
            // The norms divide all similarities of a replicate, as tau does.
            const float means[2] = {first.mean_norm(r), second.mean_norm(r)};
            const float norms[2] = {at_least_smallest(means[0]), at_least_smallest(means[1])};
            float slope;
            contrast(first.outputs + r * n * d, second.outputs + r * n * d, tau[r] * norms[0] * norms[1], losses + r,
                     cotangents[0] + r * n * d, cotangents[1] + r * n * d, &slope);
            tau_gradient[r] = slope * norms[0] * norms[1];
            for (int side = 0; side < 2; ++side)
                norm_factors[side][r] = constant || means[side] < SMALLEST_NORM ? 0.0f : slope * tau[r] * norms[1 - side];
        };
    });
    const int64_t blocks = first.blocks;
    in_parallel(*threads, 2 * replicates * blocks, [&] {
        return [&, memory = allocate(scratch)](int64_t item) {
            const int64_t which = item / (replicates * blocks), place = item % (replicates * blocks);
            sides[which]->backward(place / blocks, place % blocks, cotangents[which], memory.get());
        };
    });
    in_parallel(*threads, 2 * replicates, [&] {
        return [&](int64_t item) {
            const int64_t which = item / replicates, r = item % replicates;
            sides[which]->write(r, norm_factors[which][r], gradients[which]);
        };
    });
}

}  // extern "C"
