// A BERT encoder with a head, ready to compute rows.
#pragma once

#include <cstdint>
#include <vector>

#include "aligned_buffer.h"
#include "c_interface.h"
#include "head.h"
#include "kernels.h"
#include "packing.h"
#include "sizes.h"
#include "stages.h"
#include "workspace.h"

namespace rerank {

// Token rows laid end to end: row r is [offsets[r], offsets[r + 1]), the first begins at 0.
struct TokenRows {
  const std::int32_t* ids;
  const std::int32_t* type_ids;
  const std::int64_t* offsets;
  int count;

  int tokens() const { return static_cast<int>(offsets[count]); }
  int begin(int row) const { return static_cast<int>(offsets[row]); }
  int length(int row) const { return static_cast<int>(offsets[row + 1] - offsets[row]); }
};

class Encoder {
 public:
  // Throws std::invalid_argument for sizes that the kernels do not take, std::bad_alloc.
  Encoder(const RerankShape& shape, const RerankWeights& weights, const RerankHead& head,
          const Kernels& kernels);

  int outputs() const { return head_.outputs(); }

  // Writes (rows, outputs); adds to `stage_seconds`, one a name of kStageNames, where they are not
  // null. Safe to call from several threads. Throws std::invalid_argument for ids and lengths out
  // of range, std::bad_alloc.
  void forward(const TokenRows& rows, float* outputs, double* stage_seconds = nullptr) const;

 private:
  struct Norm {
    AlignedBuffer<float> scale, shift;
  };

  struct Layer {
    PackedDense query, key_value, attention_output, ffn_in, ffn_out;
    Norm attention_norm, output_norm;
  };

  Norm own(const RerankNorm& given) const;
  Layer own(const RerankLayer& given) const;
  void check(const TokenRows& rows) const;
  void compute(const TokenRows& rows, Workspace& work, float* outputs, StageClock& clock) const;
  void embed(const TokenRows& rows, Workspace& work) const;
  void run_layer(const Layer& layer, const TokenRows& rows, bool first_tokens, Workspace& work,
                 StageClock& clock) const;
  void attend(const TokenRows& rows, bool first_tokens, Workspace& work) const;
  void run_ffn(const Layer& layer, int rows, Workspace& work, StageClock& clock) const;
  void normalise(const Norm& norm, int begin, int end, Workspace& work) const;
  void keep_first_tokens(const TokenRows& rows, Workspace& work) const;
  void quantise(const float* x, int columns, int rows, Workspace& work,
                const QuantisedRows& out) const;

  const Kernels& kernels_;
  Sizes sizes_;
  const float* words_;
  const float* positions_;
  const float* token_types_;
  Norm norm_;
  std::vector<Layer> layers_;
  Head head_;
  mutable WorkspacePool pool_;
};

}  // namespace rerank
