// What Python calls. Threads share out blocks of rows; each writes its own sums, which are added up in fixed order.

#include "adam.h"
#include "feed_forward.h"
#include "info_nce.h"

extern "C" {

// What outputs are divided by before they are compared: their mean norm over the population, the same without its
// gradient, or each by its own norm.
enum Norm : int64_t { OF_POPULATION, CONSTANT_OF_POPULATION, OWN };

}  // extern "C"

namespace {

constexpr float SMALLEST_NORM = 1e-12f;  // as in loss/similarity.py
constexpr int64_t SHARED_OUT = 65536;    // numbers of an optimizer that are worth another thread

float at_least_smallest(float norm) { return norm < SMALLEST_NORM ? SMALLEST_NORM : norm; }  // keeps NaN

// Divide rows (n, d) by their norms, and keep those.
void to_length_one(float* rows, int64_t n, int64_t d, float* norms) {
    for (int64_t row = 0; row < n; ++row, rows += d) {
        float squares = 0;
        for (int64_t i = 0; i < d; ++i) squares += rows[i] * rows[i];
        norms[row] = std::sqrt(squares);
        const float divisor = at_least_smallest(norms[row]);
        // Not times the inverse: a row of one number is 1 or -1 to the last digit, so that its gradient is none.
        for (int64_t i = 0; i < d; ++i) rows[i] /= divisor;
    }
}

// Turn cotangents of rows of length one into those of the rows that they were.
void before_length_one(const float* rows, int64_t n, int64_t d, const float* norms, float* cotangents) {
    for (int64_t row = 0; row < n; ++row, rows += d, cotangents += d) {
        float along = 0;
        for (int64_t i = 0; i < d; ++i) along += rows[i] * cotangents[i];
        if (norms[row] < SMALLEST_NORM) along = 0;
        const float factor = 1.0f / at_least_smallest(norms[row]);
        for (int64_t i = 0; i < d; ++i) cotangents[i] = (cotangents[i] - along * rows[i]) * factor;
    }
}

// Leave out the last outputs of a replicate that both sides pad with zeros, as they do where others have more: they
// change no similarity, and the gradients of their weights are zero.
void use_outputs_with_weights(Pass& f, Pass& g) {
    for (size_t r = 0; r < f.used.size(); ++r)
        f.used[r] = g.used[r] = std::max(f.outputs_with_weights(r), g.outputs_with_weights(r));
}

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
            contrast(x + r * n * d, y + r * n * d, d, tau[r], losses + r, x_gradient + r * n * d, y_gradient + r * n * d,
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

// The losses (replicates,) of a batch, InfoNCE of normalised outputs, and their gradients with respect to tau and all
// parameters. The population has no rows if each output is divided by its own norm.
void step(const Network* f, const Network* g, const Rows* x, const Rows* y, const Rows* x_population,
          const Rows* y_population, const float* tau, Norm norm, float* losses, float* tau_gradient,
          float* const* f_gradients, float* const* g_gradients, float* memory, const Threads* threads) {
    Side first(*f, *x, *x_population), second(*g, *y, *y_population);
    use_outputs_with_weights(first.pass, second.pass);
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
            if (index < side.parts) side.take_norms(replicate, index, norm == OF_POPULATION, block.get());
            else side.encode(replicate, index - side.parts);
        };
    });
    in_parallel(*threads, replicates, [&] {
        return [&, contrast = InfoNCE(n, d), own = allocate(2 * n)](int64_t r) {
            float *rows[2], *slopes[2], tau_slope;
            const int64_t used = first.used(r);
            for (int side = 0; side < 2; ++side) {
                rows[side] = sides[side]->outputs + r * n * d;
                slopes[side] = cotangents[side] + r * n * d;
                norm_factors[side][r] = 0;
                if (norm == OWN) to_length_one(rows[side], n, used, own.get() + side * n);
            }
            if (norm == OWN) {
                contrast(rows[0], rows[1], used, tau[r], losses + r, slopes[0], slopes[1], tau_gradient + r);
                for (int side = 0; side < 2; ++side)
                    before_length_one(rows[side], n, used, own.get() + side * n, slopes[side]);
                return;
            }
            // The norms divide all similarities of a replicate, as tau does.
            const float means[2] = {first.mean_norm(r), second.mean_norm(r)};
            const float norms[2] = {at_least_smallest(means[0]), at_least_smallest(means[1])};
            contrast(rows[0], rows[1], used, tau[r] * norms[0] * norms[1], losses + r, slopes[0], slopes[1], &tau_slope);
            tau_gradient[r] = tau_slope * norms[0] * norms[1];
            for (int side = 0; side < 2; ++side)
                if (norm == OF_POPULATION && !(means[side] < SMALLEST_NORM))
                    norm_factors[side][r] = tau_slope * tau[r] * norms[1 - side];
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

// Take a step of Adam. Threads share out the numbers, each of which is moved by itself.
void adam(const Adam* settings, const Moved* moved, int64_t parameters, const Threads* threads) {
    int64_t largest = 0;
    for (int64_t p = 0; p < parameters; ++p) {
        ++*moved[p].steps;
        largest = std::max(largest, moved[p].size);
    }
    const int64_t shares = std::min(threads->count, 1 + largest / SHARED_OUT);
    in_parallel(*threads, shares, [&] {
        return [&](int64_t index) {
            for (int64_t p = 0; p < parameters; ++p) {
                const Share share(moved[p].size, shares, index);
                move(*settings, moved[p], share.first, share.first + share.count);
            }
        };
    });
}

}  // extern "C"
