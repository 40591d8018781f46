// Feed-forward encoders, many copies side by side, in blocks of rows whose activations stay in the cache.

#pragma once

#include "panels.h"

extern "C" {

// Replicated linear maps, each with or without bias and ReLU.
struct Network {
    int64_t replicates, layers;
    const int64_t* widths;         // layers + 1
    const float* const* weights;   // per layer (replicates, out, in)
    const float* const* biases;    // per layer (replicates, out), or null
    const uint8_t* relu;           // per layer
};

struct Rows {
    const float* first;
    const int64_t* offsets;  // per replicate
    int64_t stride, count;
};

}  // extern "C"

namespace {

struct Pass {
    const Network& net;
    int64_t floats = 0;      // of a replicate's parameters: per layer weight, then bias
    int64_t features = 0;    // of all layers together, input included
    int64_t widest = 0;
    std::vector<int64_t> used;  // per replicate, the outputs that are computed: all, or the first

    explicit Pass(const Network& network) : net(network) {
        features = widest = net.widths[0];
        for (int64_t layer = 0; layer < net.layers; ++layer) {
            const int64_t in = net.widths[layer], out = net.widths[layer + 1];
            floats += out * in + (net.biases[layer] ? out : 0);
            features += out;
            widest = std::max(widest, out);
        }
        used.assign(net.replicates, net.widths[net.layers]);
    }

    int64_t outputs_of(int64_t layer, int64_t replicate) const {
        return layer == net.layers - 1 ? used[replicate] : net.widths[layer + 1];
    }

    // Return how many outputs are left of a replicate without the last ones whose weights and biases are all zero.
    int64_t outputs_with_weights(int64_t replicate) const {
        const int64_t last = net.layers - 1, in = net.widths[last], out = net.widths[last + 1];
        const float* w = net.weights[last] + replicate * out * in;
        const float* bias = net.biases[last] ? net.biases[last] + replicate * out : nullptr;
        const auto is_zero = [](float value) { return value == 0.0f; };
        int64_t left = out;
        while (left > 1 && (!bias || is_zero(bias[left - 1])) && std::all_of(w + (left - 1) * in, w + left * in, is_zero)) --left;
        return left;
    }

    // Return where a block's outputs are. Activations of the layers follow each other.
    float* forward(int64_t replicate, float* block, int64_t panels) const {
        for (int64_t layer = 0; layer < net.layers; ++layer) {
            const int64_t in = net.widths[layer], out = net.widths[layer + 1];
            const float* w = net.weights[layer] + replicate * out * in;
            const float* bias = net.biases[layer] ? net.biases[layer] + replicate * out : nullptr;
            float* next = block + in * panels * PANEL;
            const auto apply = net.relu[layer] ? product<After::relu> : product<After::nothing>;
            apply(w, in, 1, outputs_of(layer, replicate), in, bias, block, nullptr, next, panels);
            block = next;
        }
        return block;
    }

    // Add the gradient of a block. `outputs` as forward() returned it; `cotangent` and `spare` are overwritten.
    void backward(int64_t replicate, const float* outputs, float* cotangent, float* spare, int64_t panels,
                  float* gradient) const {
        const float* activation = outputs;
        gradient += floats;
        for (int64_t layer = net.layers - 1; layer >= 0; --layer) {
            const int64_t in = net.widths[layer], out = net.widths[layer + 1], used_out = outputs_of(layer, replicate);
            activation -= in * panels * PANEL;
            if (net.biases[layer]) add_row_sums(cotangent, used_out, panels, gradient -= out);
            add_products(cotangent, used_out, activation, in, panels, gradient -= out * in);
            if (layer == 0) return;
            const float* w = net.weights[layer] + replicate * out * in;
            const auto apply = net.relu[layer - 1] ? product<After::relu_gradient> : product<After::nothing>;
            apply(w, 1, in, in, used_out, nullptr, cotangent, activation, spare, panels);
            std::swap(cotangent, spare);
        }
    }
};

// Return the sum of the rows' norms and turn outputs into the cotangents of `scale` times that sum, 0 for a zero row.
double norms(const float* outputs, int64_t width, int64_t rows, float scale, float* cotangent) {
    double total = 0;
    for (int64_t first = 0; first < rows; first += PANEL)
        for (int half = 0; half < PANEL; half += LANES, outputs += LANES, cotangent += LANES) {
            Vec squares{};
            for (int64_t i = 0; i < width; ++i) {
                const Vec value = load(outputs + i * PANEL);
                squares += value * value;
            }
            Vec factors{};
            for (int64_t lane = 0; lane < std::min<int64_t>(LANES, rows - first - half); ++lane) {
                const float norm = std::sqrt(squares[lane]);
                total += norm;
                factors[lane] = norm == 0.0f ? 0.0f : scale / norm;
            }
            for (int64_t i = 0; i < width; ++i) store(cotangent + i * PANEL, load(outputs + i * PANEL) * factors);
            if (half + LANES == PANEL) outputs += (width - 1) * PANEL, cotangent += (width - 1) * PANEL;
        }
    return total;
}

// One encoder in a training step: the rows of the batch, and the population, over which its mean norm is taken. A
// replicate's outputs and cotangents have its used columns, side by side, in room for all.
struct Side {
    Pass pass;
    const int64_t d, panels, blocks, others, parts;  // blocks of the batch's panels, parts of the population's
    const Rows batch, population;
    float *outputs, *activations, *block_gradients, *part_gradients, *norm_sums;  // in memory that the caller lends

    Side(const Network& net, const Rows& batch, const Rows& population)
        : pass(net), d(net.widths[net.layers]), panels(panels_of(batch.count)), blocks(shares_of(panels, BLOCK_PANELS)),
          others(panels_of(population.count)), parts(shares_of(others, PART_PANELS)), batch(batch), population(population) {}

    int64_t replicates() const { return pass.net.replicates; }
    int64_t used(int64_t replicate) const { return pass.used[replicate]; }

    // Take what this side needs, and return what is left.
    float* take(float* memory) {
        const auto part = [&](float*& place, int64_t floats) {
            place = memory;
            memory += (replicates() * floats + 15) / 16 * 16;
        };
        part(activations, panels * PANEL * pass.features);
        part(outputs, batch.count * d);
        part(block_gradients, blocks * pass.floats);
        part(part_gradients, parts * pass.floats);
        part(norm_sums, parts);
        return memory;
    }

    static constexpr int64_t ROOM = BLOCK_PANELS * PANEL;
    int64_t scratch() const { return (pass.features + 2 * pass.widest) * ROOM; }

    Share share(int64_t index) const { return Share(panels, blocks, index); }
    int64_t rows(const Share& share) const { return std::min(batch.count - share.first * PANEL, share.count * PANEL); }
    float* activations_of(int64_t replicate, const Share& share) const {
        return activations + (replicate * panels + share.first) * PANEL * pass.features;
    }

    void encode(int64_t replicate, int64_t index) const {
        const Share share = this->share(index);
        const int64_t first = share.first * PANEL, count = rows(share);
        float* block = activations_of(replicate, share);
        pack(batch.first + batch.offsets[replicate] + first * batch.stride, batch.stride, count, pass.net.widths[0], block);
        const float* out = pass.forward(replicate, block, share.count);
        unpack(out, count, used(replicate), 1.0f, outputs + replicate * batch.count * d + first * used(replicate));
    }

    void backward(int64_t replicate, int64_t index, const float* cotangents, float* memory) const {
        const Share share = this->share(index);
        const float* block = activations_of(replicate, share);
        float* gradient = block_gradients + (replicate * blocks + index) * pass.floats;
        std::memset(gradient, 0, 4 * pass.floats);
        const int64_t width = used(replicate);
        pack(cotangents + replicate * batch.count * d + share.first * PANEL * width, width, rows(share), width, memory);
        pass.backward(replicate, block + (pass.features - d) * share.count * PANEL, memory, memory + pass.widest * ROOM,
                      share.count, gradient);
    }

    // Sum the norms of a part of the population, and with `differentiated` the gradient of its share of the mean norm.
    void take_norms(int64_t replicate, int64_t index, bool differentiated, float* block) const {
        const Share part(others, parts, index);
        float *cotangent = block + pass.features * ROOM, *spare = cotangent + pass.widest * ROOM;
        float* gradient = part_gradients + (replicate * parts + index) * pass.floats;
        double total = 0;
        std::memset(gradient, 0, 4 * pass.floats);
        for (int64_t b = 0, number = shares_of(part.count, BLOCK_PANELS); b < number; ++b) {
            const Share share(part.count, number, b);
            const int64_t first = (part.first + share.first) * PANEL;
            const int64_t count = std::min(population.count - first, share.count * PANEL);
            const float* rows = population.first + population.offsets[replicate] + first * population.stride;
            pack(rows, population.stride, count, pass.net.widths[0], block);
            const float* out = pass.forward(replicate, block, share.count);
            total += norms(out, used(replicate), count, 1.0f / population.count, cotangent);
            if (differentiated) pass.backward(replicate, out, cotangent, spare, share.count, gradient);
        }
        norm_sums[replicate * parts + index] = static_cast<float>(total);
    }

    float mean_norm(int64_t replicate) const {
        double total = 0;
        for (int64_t part = 0; part < parts; ++part) total += norm_sums[replicate * parts + part];
        return static_cast<float>(total / population.count);
    }

    // Write the gradients of a replicate's parameters: those of the batch, plus `factor` times those of the mean norm.
    void write(int64_t replicate, float factor, float* const* gradients) const {
        const float* block = block_gradients + replicate * blocks * pass.floats;
        const float* part = part_gradients + replicate * parts * pass.floats;
        for (int64_t parameter = 0; parameter < 2 * pass.net.layers; ++parameter) {
            const int64_t layer = parameter / 2, out = pass.net.widths[layer + 1];
            if (parameter % 2 && !pass.net.biases[layer]) continue;
            const int64_t size = parameter % 2 ? out : out * pass.net.widths[layer];
            float* gradient = gradients[parameter] ? gradients[parameter] + replicate * size : nullptr;  // null: not wanted
            for (int64_t i = 0; gradient && i < size; ++i) {
                float batch_sum = 0, part_sum = 0;
                for (int64_t b = 0; b < blocks; ++b) batch_sum += block[b * pass.floats + i];
                for (int64_t p = 0; p < parts; ++p) part_sum += part[p * pass.floats + i];
                gradient[i] = batch_sum + factor * part_sum;
            }
            block += size;
            part += size;
        }
    }
};

}  // namespace
