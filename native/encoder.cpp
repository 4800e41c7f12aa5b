#include "encoder.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace rerank {
namespace {

const RerankShape& checked(const RerankShape& shape) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
  };
  require(shape.layers >= 1, "at least one layer is needed");
  require(shape.heads >= 1 && shape.head_width >= 1, "at least one head of one column is needed");
  require(shape.vocabulary >= 1 && shape.positions >= 1 && shape.token_types >= 1,
          "an embedding table is empty");
  require(shape.positions <= kMostPositions, "more positions than the kernels take (65,536)");
  require(shape.width >= 1 && shape.width <= kMostColumns - kTileColumns &&
              shape.ffn_width >= 1 && shape.ffn_width <= kMostColumns - kTileColumns,
          "a width is beyond what sums of products hold (65,472)");
  require(static_cast<std::int64_t>(shape.heads) * round_up(shape.head_width, kVectorFloats) <=
              kMostColumns - kTileColumns,
          "the heads are too wide together (65,472)");
  return shape;
}

AlignedBuffer<float> copy(const float* from, int count) {
  AlignedBuffer<float> to(count);
  std::copy_n(from, count, to.data());
  return to;
}

// Sets up a thread for a set of kernels, and puts things back.
class KernelScope {
 public:
  explicit KernelScope(const Kernels& kernels) : kernels_(kernels) {
    if (kernels_.begin) kernels_.begin();
  }
  ~KernelScope() {
    if (kernels_.end) kernels_.end();
  }
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

 private:
  const Kernels& kernels_;
};

}  // namespace

Encoder::Encoder(const RerankShape& shape, const RerankWeights& weights, const RerankHead& head,
                 const Kernels& kernels)
    : kernels_(kernels),
      sizes_(checked(shape)),
      words_(weights.words),
      positions_(weights.positions),
      token_types_(weights.token_types),
      norm_(own(weights.norm)),
      head_(head, sizes_) {
  layers_.reserve(sizes_.layers);
  for (int layer = 0; layer < sizes_.layers; ++layer) {
    try {
      layers_.push_back(own(weights.layers[layer]));
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("layer " + std::to_string(layer) + ": " + error.what());
    }
  }
}

Encoder::Norm Encoder::own(const RerankNorm& given) const {
  return {copy(given.scale, sizes_.columns), copy(given.shift, sizes_.columns)};
}

Encoder::Layer Encoder::own(const RerankLayer& given) const {
  const int columns = sizes_.columns, attention = sizes_.attention_columns;
  const int ffn = sizes_.ffn_columns;
  return {PackedDense(given.query, attention, columns, kernels_),
          PackedDense(given.key_value, 2 * attention, columns, kernels_),
          PackedDense(given.attention_output, columns, attention, kernels_),
          PackedDense(given.ffn_in, ffn, columns, kernels_),
          PackedDense(given.ffn_out, columns, ffn, kernels_),
          own(given.attention_norm),
          own(given.output_norm)};
}

void Encoder::forward(const TokenRows& rows, float* outputs, double* stage_seconds) const {
  check(rows);
  if (rows.count == 0) return;
  std::unique_ptr<Workspace> work = pool_.take(
      sizes_, kernels_.value_bytes, head_.scratch_floats(), rows.tokens());
  {
    const KernelScope scope(kernels_);
    StageClock clock(stage_seconds);
    compute(rows, *work, outputs, clock);
  }
  pool_.give_back(std::move(work));
}

void Encoder::check(const TokenRows& rows) const {
  const auto refuse = [](const std::string& why) { throw std::invalid_argument(why); };
  if (rows.count < 0) refuse("a negative number of rows");
  if (rows.offsets[0] != 0) refuse("the first row does not begin at 0");
  for (int row = 0; row < rows.count; ++row) {
    // Unsigned: offsets that are nonsense may not overflow.
    const auto length = static_cast<std::int64_t>(static_cast<std::uint64_t>(rows.offsets[row + 1]) -
                                                  static_cast<std::uint64_t>(rows.offsets[row]));
    if (length < 1 || length > sizes_.positions) {
      refuse("row " + std::to_string(row) + " has " + std::to_string(length) +
             " tokens; 1 to " + std::to_string(sizes_.positions) + " are possible");
    }
    if (rows.offsets[row + 1] > std::numeric_limits<int>::max() / 2) {
      refuse("too many tokens in one call");
    }
    for (std::int64_t at = rows.offsets[row]; at < rows.offsets[row + 1]; ++at) {
      if (rows.ids[at] < 0 || rows.ids[at] >= sizes_.vocabulary || rows.type_ids[at] < 0 ||
          rows.type_ids[at] >= sizes_.token_types) {
        refuse("row " + std::to_string(row) + " has a token id or type out of the model's range");
      }
    }
  }
}

void Encoder::compute(const TokenRows& rows, Workspace& work, float* outputs,
                      StageClock& clock) const {
  embed(rows, work);
  clock.lap(Stage::kEmbedding);
  for (int layer = 0; layer < sizes_.layers; ++layer) {
    const bool last = layer + 1 == sizes_.layers;
    run_layer(layers_[layer], rows, last && head_.first_token_only(), work, clock);
  }
  const float* states = work.hidden.data();
  if (head_.is_classifier()) {
    head_.classify(kernels_, states, rows.count, work.head.data(), outputs);
    clock.lap(Stage::kHead);
    return;
  }
  for (int row = 0; row < rows.count; ++row, outputs += head_.outputs()) {
    const bool first_only = head_.first_token_only();
    const std::ptrdiff_t at = first_only ? row : rows.begin(row);
    head_.pool(states + at * sizes_.columns, first_only ? 1 : rows.length(row), outputs);
  }
  clock.lap(Stage::kHead);
}

void Encoder::embed(const TokenRows& rows, Workspace& work) const {
  const std::ptrdiff_t width = sizes_.width;
  float* x = work.hidden.data();
  for (int row = 0; row < rows.count; ++row) {
    for (int position = 0; position < rows.length(row); ++position, x += sizes_.columns) {
      const std::int64_t at = rows.offsets[row] + position;
      const float* word = words_ + rows.ids[at] * width;
      const float* place = positions_ + position * width;
      const float* type = token_types_ + rows.type_ids[at] * width;
      for (int i = 0; i < sizes_.width; ++i) x[i] = word[i] + (place[i] + type[i]);
      // The workspace has held other numbers before.
      std::fill(x + sizes_.width, x + sizes_.columns, 0.0f);
    }
  }
  normalise(norm_, 0, rows.tokens(), work);
}

void Encoder::run_layer(const Layer& layer, const TokenRows& rows, bool first_tokens,
                        Workspace& work, StageClock& clock) const {
  const int tokens = rows.tokens();
  const int attention = sizes_.attention_columns;
  const QuantisedRows x = work.rounded_hidden.view();
  quantise(work.hidden.data(), sizes_.columns, tokens, work, x);
  clock.lap(Stage::kQuantising);
  kernels_.dense(x, tokens, layer.key_value.view(), Epilogue::kStore, work.key_value.data(),
                 2 * attention);
  // Where only the first tokens are read in the end, only they go on once keys and values of all
  // tokens are there.
  if (first_tokens) keep_first_tokens(rows, work);
  const int left = first_tokens ? rows.count : tokens;
  kernels_.dense(x, left, layer.query.view(), Epilogue::kStore, work.query.data(), attention);
  clock.lap(Stage::kKeyValueQuery);
  attend(rows, first_tokens, work);
  clock.lap(Stage::kAttention);

  const QuantisedRows context = work.rounded_context.view();
  quantise(work.context.data(), attention, left, work, context);
  clock.lap(Stage::kQuantising);
  kernels_.dense(context, left, layer.attention_output.view(), Epilogue::kAdd, work.hidden.data(),
                 sizes_.columns);
  clock.lap(Stage::kAttentionOutput);
  normalise(layer.attention_norm, 0, left, work);
  clock.lap(Stage::kNormalising);
  quantise(work.hidden.data(), sizes_.columns, left, work, x);
  clock.lap(Stage::kQuantising);
  run_ffn(layer, left, work, clock);
}

void Encoder::attend(const TokenRows& rows, bool first_tokens, Workspace& work) const {
  const std::ptrdiff_t columns = sizes_.attention_columns;
  for (int row = 0; row < rows.count; ++row) {
    const std::ptrdiff_t begin = rows.begin(row);
    const std::ptrdiff_t query = first_tokens ? row : begin;
    const float* keys = work.key_value.data() + begin * 2 * columns;
    Attention attention;
    attention.query = work.query.data() + query * columns;
    attention.query_stride = columns;
    attention.queries = first_tokens ? 1 : rows.length(row);
    attention.key = keys;
    attention.value = keys + columns;
    attention.key_stride = 2 * columns;
    attention.tokens = rows.length(row);
    attention.heads = sizes_.heads;
    attention.head_columns = sizes_.head_columns;
    attention.out = work.context.data() + query * columns;
    attention.out_stride = columns;
    attention.scratch = work.attention.data();
    kernels_.attention(attention);
  }
}

void Encoder::run_ffn(const Layer& layer, int rows, Workspace& work, StageClock& clock) const {
  const QuantisedRows all = work.rounded_hidden.view();
  const QuantisedRows inner = work.rounded_ffn.view();
  for (int begin = 0; begin < rows; begin += kFfnRows) {
    const int count = std::min(kFfnRows, rows - begin);
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(begin) * sizes_.columns;
    const QuantisedRows x{all.values + at * kernels_.value_bytes, all.scales + begin,
                          all.sums + begin};
    kernels_.dense(x, count, layer.ffn_in.view(), Epilogue::kGeluRotated,
                   work.ffn.data(), sizes_.ffn_columns);
    clock.lap(Stage::kFfnIn);
    for (std::ptrdiff_t row = 0; row < count; ++row) {
      const std::ptrdiff_t first = row * sizes_.ffn_columns;
      kernels_.quantise(work.ffn.data() + first, sizes_.ffn_columns,
                        inner.values + first * kernels_.value_bytes, inner.scales + row,
                        inner.sums + row);
    }
    clock.lap(Stage::kQuantising);
    kernels_.dense(inner, count, layer.ffn_out.view(), Epilogue::kAdd, work.hidden.data() + at,
                   sizes_.columns);
    clock.lap(Stage::kFfnOut);
    normalise(layer.output_norm, begin, begin + count, work);
    clock.lap(Stage::kNormalising);
  }
}

void Encoder::normalise(const Norm& norm, int begin, int end, Workspace& work) const {
  for (int row = begin; row < end; ++row) {
    kernels_.layer_norm(work.hidden.data() + static_cast<std::ptrdiff_t>(row) * sizes_.columns,
                        sizes_.width, sizes_.columns, norm.scale.data(), norm.shift.data(),
                        sizes_.epsilon);
  }
}

void Encoder::keep_first_tokens(const TokenRows& rows, Workspace& work) const {
  const std::ptrdiff_t columns = sizes_.columns, row_bytes = columns * kernels_.value_bytes;
  const QuantisedRows x = work.rounded_hidden.view();
  // Forwards: a row is never written before it was read. Row 0 is in its place.
  for (int row = 1; row < rows.count; ++row) {
    const std::ptrdiff_t from = rows.begin(row);
    std::copy_n(work.hidden.data() + from * columns, columns, work.hidden.data() + row * columns);
    std::copy_n(x.values + from * row_bytes, row_bytes, x.values + row * row_bytes);
    x.scales[row] = x.scales[from];
    x.sums[row] = x.sums[from];
  }
}

void Encoder::quantise(const float* x, int columns, int rows, Workspace& work,
                       const QuantisedRows& out) const {
  float* rotated = work.rotated.data();
  const std::ptrdiff_t row_bytes = static_cast<std::ptrdiff_t>(columns) * kernels_.value_bytes;
  for (std::ptrdiff_t row = 0; row < rows; ++row) {
    kernels_.rotate(x + row * columns, columns, rotated);
    kernels_.quantise(rotated, columns, out.values + row * row_bytes, out.scales + row,
                      out.sums + row);
  }
}

}  // namespace rerank
