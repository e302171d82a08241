#include "models/moe/routing.h"

#include <algorithm>

namespace weft {

void SendOrder::Prepare(const ExpertPlacement& placement, int32_t degree) {
  degree_ = degree;
  ep_ = static_cast<size_t>(placement.members());
  member_of_.clear();
  for (int32_t m = 0; m < placement.members(); ++m)
    member_of_.insert(member_of_.end(), static_cast<size_t>(placement.slots_on(m)), m);
  const auto chunks = static_cast<size_t>(degree);
  chunk_begin_.assign(chunks + 1, 0);
  rows_to_.assign(chunks * ep_, 0);
  blocks_.assign(chunks * slots(), Block{});
}

void SendOrder::Append(int32_t chunk, std::span<const RowRange> rows) {
  const auto c = static_cast<size_t>(chunk);
  int64_t position = chunk_begin_[c];
  std::fill_n(rows_to_.begin() + static_cast<ptrdiff_t>(c * ep_), ep_, 0);
  for (size_t e = 0; e < slots(); ++e) {
    blocks_[c * slots() + e] = {rows[e], position};
    rows_to_[c * ep_ + static_cast<size_t>(member_of_[e])] += rows[e].count();
    position += rows[e].count();
  }
  chunk_begin_[c + 1] = position;
}

void ArrivalOrder::Prepare(const Layout& layout, int32_t local_experts, int32_t esp_index,
                           int32_t degree) {
  degree_ = degree;
  ep_ = static_cast<size_t>(layout.ep);
  esp_ = static_cast<size_t>(layout.esp);
  local_ = static_cast<size_t>(local_experts);
  me_ = static_cast<size_t>(esp_index);
  const auto chunks = static_cast<size_t>(degree);
  received_rows_.assign(chunks, 0);
  arrival_rows_.assign(chunks, 0);
  rows_from_.assign(chunks * ep_, 0);
  rows_gathered_.assign(chunks * esp_, 0);
  runs_.assign(chunks * local_ * ep_ * esp_, RowRun{});
}

void ArrivalOrder::Append(int32_t chunk, std::span<const RowRange> rows) {
  const auto c = static_cast<size_t>(chunk);
  const size_t sources = ep_ * esp_;
  int64_t* from = rows_from_.data() + c * ep_;
  int64_t* gathered = rows_gathered_.data() + c * esp_;
  RowRun* runs = runs_.data() + c * local_ * sources;
  std::fill_n(from, ep_, 0);
  std::fill_n(gathered, esp_, 0);
  int64_t arrival = 0;
  for (size_t j = 0; j < esp_; ++j) {
    for (size_t s = 0; s < ep_; ++s) {
      for (size_t e = 0; e < local_; ++e) {
        const RowRange taken = rows[(j * ep_ + s) * local_ + e];
        // Sources in ascending global rank: rank = (edp * EP + s) * ESP + j.
        RowRun& run = runs[e * sources + s * esp_ + j];
        run.arrival = arrival;
        run.rows = taken;
        arrival += taken.count();
        gathered[j] += taken.count();
        if (j == me_) from[s] += taken.count();
      }
    }
  }
  int64_t kept = 0;
  for (size_t i = 0; i < local_ * sources; ++i) {
    runs[i].kept = kept;
    kept += runs[i].rows.count();
  }
  arrival_rows_[c] = arrival;
  received_rows_[c] = gathered[me_];
}

std::span<const RowRun> ArrivalOrder::runs(int32_t chunk, int32_t local_expert) const {
  const size_t sources = ep_ * esp_;
  return {runs_.data() +
              (static_cast<size_t>(chunk) * local_ + static_cast<size_t>(local_expert)) * sources,
          sources};
}

RowRange ArrivalOrder::kept_rows(int32_t chunk, int32_t local_expert) const {
  const std::span<const RowRun> of = runs(chunk, local_expert);
  return {of.front().kept, of.back().kept + of.back().rows.count()};
}

bool ArrivalOrder::arrives_in_kept_order(int32_t chunk) const {
  const size_t each = local_ * ep_ * esp_;
  const std::span of_chunk(runs_.data() + static_cast<size_t>(chunk) * each, each);
  return std::all_of(of_chunk.begin(), of_chunk.end(), [](const RowRun& run) {
    return run.rows.count() == 0 || run.arrival == run.kept;
  });
}

void SavedOrder::Build(std::span<const int64_t> rows, const Layout& layout, int32_t local_experts) {
  const auto ep = static_cast<size_t>(layout.ep);
  const auto esp = static_cast<size_t>(layout.esp);
  const auto local = static_cast<size_t>(local_experts);
  sources_ = ep * esp;
  begin_.assign(local * sources_ + 1, 0);
  int64_t saved = 0;
  size_t i = 0;
  for (size_t e = 0; e < local; ++e) {
    for (size_t s = 0; s < ep; ++s) {
      for (size_t j = 0; j < esp; ++j) {
        begin_[i++] = saved;
        saved += rows[(j * ep + s) * local + e];
      }
    }
  }
  begin_[i] = saved;
}

}  // namespace weft
